"""A softmax stands at the end of the graph, as networks have it that were trained on probabilities."""

ORDER, NAME, OUTPUT = 1, "softmax in the graph", "softmax"
SAYS = "it ends in softmax: its answers are probabilities"
REMEDY = "export it without softmax"
ASSUME = OUTPUT
