"""Small models as a reader of a paper would write them, each with a task: is `auto` a start as good as their own?"""
