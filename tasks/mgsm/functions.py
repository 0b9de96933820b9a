"""What the task files of this folder name with ``!function``."""

from functools import partial

from harness.problems.load import dataset, process_results

mgsm_bn = partial(dataset, "mgsm_bn")
mgsm_de = partial(dataset, "mgsm_de")
mgsm_en = partial(dataset, "mgsm_en")
mgsm_es = partial(dataset, "mgsm_es")
mgsm_fr = partial(dataset, "mgsm_fr")
mgsm_ja = partial(dataset, "mgsm_ja")
mgsm_ru = partial(dataset, "mgsm_ru")
mgsm_sw = partial(dataset, "mgsm_sw")
mgsm_te = partial(dataset, "mgsm_te")
mgsm_th = partial(dataset, "mgsm_th")
mgsm_zh = partial(dataset, "mgsm_zh")

__all__ = [
    "mgsm_bn",
    "mgsm_de",
    "mgsm_en",
    "mgsm_es",
    "mgsm_fr",
    "mgsm_ja",
    "mgsm_ru",
    "mgsm_sw",
    "mgsm_te",
    "mgsm_th",
    "mgsm_zh",
    "process_results",
]
