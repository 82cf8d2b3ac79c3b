"""SHOWING IT: the page, the table, the figure and the histogram grid. Knows no result, computes nothing."""
