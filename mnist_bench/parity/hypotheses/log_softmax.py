"""A log-softmax stands at the end of the graph, as in the tutorials that train with the negative log likelihood."""

ORDER, NAME, OUTPUT = 2, "log-softmax in the graph", "log-softmax"
SAYS = "it ends in log-softmax: its answers are logarithms of probabilities"
REMEDY = "export it without log-softmax"
ASSUME = OUTPUT
