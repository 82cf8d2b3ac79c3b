"""HOW LARGE what each weight makes should be: one file a structure that it stands in; `survey` asks them all."""
