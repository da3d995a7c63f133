"""The model reads columns as rows: NHWC read as NCHW comes to this where there is one channel, and so does EMNIST."""

from mnist_bench.parity.hypotheses._case import Case, Images

ORDER, NAME, ASSUME = 7, "transposed images, NHWC read as NCHW", "transposed"
SAYS = "it transposes images: it reads columns as rows, as NHWC that is read as NCHW does"
REMEDY = "export it without the transposition"


def asked(case: Case) -> Images | None:
    """Ask about transposed images."""
    return case.as_if(transposed=True)
