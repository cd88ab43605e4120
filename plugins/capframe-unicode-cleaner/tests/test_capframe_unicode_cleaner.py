"""The text cleaner `unicode`: what it makes of captions in many languages, and the laws it keeps."""

import unicodedata

import pytest
from capframe_unicode_cleaner.cleaner import UnicodeCleaner
from hypothesis import given, settings
from hypothesis import strategies as st

from capframe import Registry
from capframe.testing import check_text_cleaner

LEFT_OUT = str.maketrans("σ", "ς", " '·\u200c\u200d")
TEXTS = st.one_of(
    st.text(),
    st.text(st.characters(min_codepoint=0x0E00, max_codepoint=0x0EFF)),
    st.text(st.sampled_from("一只狗在草地上奔跑犬が走っていますสุนัขวิ่งဆွဲឆ្កែ  '·a’ßΣİ1\u0300\u0345\u093c\u200d")),
)


def test_it_keeps_the_laws_of_text_cleaners():
    check_text_cleaner(UnicodeCleaner)
    check_text_cleaner(UnicodeCleaner, form="NFKC", digits=False, inner="'-")


def test_capframe_offers_it():
    assert Registry().plugin("text_cleaner", "unicode").distribution == "capframe-unicode-cleaner"


@pytest.mark.parametrize(
    ("caption", "clean"),
    [
        ("A dog, running!  2 cats.", "a dog running 2 cats"),
        ("L’homme à la mode", "l'homme à la mode"),
        ("Ein großer Fuß", "ein grosser fuss"),
        ("Cafe\u0301 'quoted' rock'n'roll'", "café quoted rock'n'roll"),
        ("Собака бежит по траве.", "собака бежит по траве"),
        ("الكلب يركض، على العشب", "الكلب يركض على العشب"),
        ("می\u200cدود\u200c سگ", "می\u200cدود سگ"),
        ("कुत्ता घास पर दौड़ रहा है।", "कुत्ता घास पर दौड\u093c रहा है"),
        ("一只狗在草地上奔跑。", "一只 狗 在 草地 上 奔跑"),
        ("犬が草の上を走っています。", "犬 が 草 の 上 を 走 って い ます"),
        ("สุนัขวิ่งบนหญ้า", "สุนัข วิ่ง บน หญ้า"),
        ("ឆ្កែរត់លើស្មៅ", "ឆ្កែ រត់ លើ ស្មៅ"),
        ("ခွေးတစ်ကောင်မြက်ပေါ်မှာပြေးနေတယ်", "ခွေး တစ် ကောင် မြက် ပေါ် မှာ ပြေး နေ တယ်"),
        ("我的iPhone很新", "我的 iphone 很 新"),
        ("Ο ΣΚΎΛΟΣ τρέχει σ' ένα δρόμο", "ο σκύλος τρέχει σ ένα δρόμο"),
        ("La col·lecció d’en Pau", "la col·lecció d'en pau"),
        ("Джек · Собака п’є", "джек собака п'є"),
        ("അവന്\u200d ഓടുന്നു", "അവന്\u200d ഓടുന്നു"),
        ("한 남자가 달린다", "한 남자가 달린다"),
        ("🐕 … — !", ""),
        ("A dog ❤\ufe0f 1\ufe0f\u20e3 cat 👩\u200d🍳", "a dog 1 cat"),
        ("\ufeffein Hunde\u00adhaus", "ein hundehaus"),
        ("من\u200fزل", "منزل"),
        ("葛\U000e0100城市", "葛 城市"),
        ("สุนัข\u200bวิ่ง", "สุนัข วิ่ง"),
        ("개\u3164 \u0301고양이", "개 고양이"),
    ],
)
def test_captions_in_many_languages(caption, clean):
    assert UnicodeCleaner()(caption) == clean


def test_every_option_does_what_it_says():
    assert UnicodeCleaner(casefold=False)("Der Fuß") == "Der Fuß"
    assert UnicodeCleaner(digits=False)("2 dogs1") == "dogs"
    assert UnicodeCleaner(inner="-")("a T-shirt - l'eau") == "a t-shirt l eau"
    assert UnicodeCleaner(segment=False)("狗在 草地") == "狗在 草地"
    assert UnicodeCleaner()("ｆｕｌｌ ﬁne") == "ｆｕｌｌ fine"
    assert UnicodeCleaner(form="NFKC")("ｆｕｌｌ ①") == "full 1"


@settings(max_examples=300)
@given(TEXTS)
def test_cleaning_twice_changes_nothing_more_and_only_words_are_left(caption):
    cleaner = UnicodeCleaner()
    clean = cleaner(caption)
    assert cleaner(clean) == clean
    assert clean == " ".join(clean.split())
    assert unicodedata.is_normalized("NFC", clean)
    assert {letter for letter in clean if unicodedata.category(letter)[0] not in "LMN"} <= set(
        " '·\u200c\u200d"
    )
    assert not [word for word in clean.split() if unicodedata.category(word[0])[0] not in "LN"]


@settings(max_examples=200)
@given(TEXTS)
def test_segmenting_adds_spaces_and_nothing_else(caption):
    whole, cut = UnicodeCleaner(segment=False)(caption), UnicodeCleaner()(caption)
    # An apostrophe is dropped where the word beside it was cut off, and a sigma at an end looks different.
    assert cut.translate(LEFT_OUT) == whole.translate(LEFT_OUT)
