"""It answers with logits, and something else was assumed."""

ORDER, NAME, OUTPUT = 0, "logits after all", "logits"
SAYS = "its answers are logits: nothing stands behind them"
REMEDY = "leave out what was assumed of its answers"
ASSUME = ""
