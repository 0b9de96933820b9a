"""Words by which a thought reconsiders, in the languages of MGSM, all counted in any text: models switch languages."""

from __future__ import annotations

import re
from unicodedata import normalize

from harness.thoughts import strip_tags

# The word list of arXiv 2506.08343 as far as it is published; whole words, any case.
ENGLISH = (
    "wait", "alternatively", "hmm", "but", "however", "alternative", "another", "check", "double-check", "oh", "maybe",
    "verify", "other", "again",
)  # fmt: skip
# The same kinds of word (our lists; none is published): wait, but, however, another way, check, perhaps, again.
# None is an English word. Whole words:
SPACED = {
    "de": ("warte", "moment mal", "aber", "jedoch", "allerdings", "alternativ", "andererseits", "vielleicht",
           "(?:über)?prüfen", "überprüfe", "noch ?mal", "noch einmal"),
    "es": ("espera", "pero", "sin embargo", "alternativamente", "otra (?:forma|manera)", "quizás?", "tal vez",
           "verifi(?:car|quemos|co)", "comprobar", "comprobemos", "otra vez", "de nuevo"),
    "fr": ("attendez", "attends,", "mais", "cependant", "toutefois", "alternativement", "autre (?:façon|méthode)",
           "peut-être", "vérifi(?:er|ons)", "à nouveau", "encore une fois"),
    "ru": ("подожди(?:те)?", "постой(?:те)?", "но", "однако", "альтернативно", "другой способ", "возможно",
           "может быть", "провер(?:им|ить|ка|ю)", "снова", "[её]щ[её] раз", "хм+"),
    "sw": ("subiri", "ngoja", "lakini", "hata hivyo", "vinginevyo", "njia nyingine", "labda", "hakiki", "thibitisha",
           "tena"),
}  # fmt: skip
# Parts of a text, of languages that write without spaces or whose signs for vowels are no letters to ``re``:
JOINED = {
    "bn": ("দাঁড়া[ওন]", "অপেক্ষা কর", "কিন্তু", "যাইহোক", "বিকল্পভাবে", "অন্যভাবে", "হয়তো", "সম্ভবত", "যাচাই",
           "আবার"),
    "ja": ("待って", "ちょっと待", "しかし", "でも、", "ただし", "あるいは", "別の方法", "確認", "検証", "かもしれない",
           "おそらく", "もう一度"),
    "te": ("ఆగండి", "ఆగు", "కానీ", "అయితే", "ప్రత్యామ్నాయంగా", "మరో విధంగా", "బహుశా", "సరిచూ", "తనిఖీ", "మళ్[లళ]ీ"),
    "th": ("เดี๋ยว", "รอก่อน", "(?<!ตั้ง)แต่(?!ละ)", "อย่างไรก็ตาม", "อีกวิธี", "อีกทางหนึ่ง", "ตรวจสอบ", "บางที",
           "อาจจะ", "อีกครั้ง"),
    "zh": ("等等", "等一下", "不对", "但是", "然而", "或者说", "另一种", "另外", "检查", "验证", "再想", "重新",
           "让我再", "也许", "可能不"),
}  # fmt: skip

_WORDS = rf"(?<![\w-])(?:{'|'.join(ENGLISH)})(?![\w-])"
_JOINED = [normalize("NFC", word) for words in JOINED.values() for word in words]
_SPACED = "|".join(word for words in SPACED.values() for word in words)
# In a Chinese sentence an English word has no space around it.
_REFLECTION = re.compile("|".join((_WORDS, *_JOINED)), re.IGNORECASE | re.ASCII)
_IN_OTHERS = re.compile(rf"(?<![\w-])(?:{_SPACED})(?![\w-])", re.IGNORECASE)


def reflection_words(thinking: str) -> int:
    """Count of reflection words in all of these languages; tags of thoughts do not count."""
    text = normalize("NFC", strip_tags(thinking))
    return len(_REFLECTION.findall(text)) + len(_IN_OTHERS.findall(text))
