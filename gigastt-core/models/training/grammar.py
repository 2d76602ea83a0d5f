"""Inflects the words of `words.py`: regular declension and conjugation, and numbers in words."""

import words

HUSHING = "жшщчц"
NO_Y = "гкхжшщч"  # After these ы is written и.

NOM, GEN, DAT, ACC, INS, PRE, PLURAL, PLURAL_DAT, PLURAL_INS, PLURAL_PRE = range(10)


def listed(entries):
    """Entries without the ones that a trailing underscore takes out."""
    return [e for e in entries if not e.endswith("_")]


def decline(entry, gender, animate):
    """The ten forms of a noun in the order of the constants above."""
    word, _, stem = entry.partition(":")
    last = word[-1]
    soft = last in "ьйя" or (last == "е" and word[-2] not in HUSHING) or entry.endswith("ь")
    stem = stem or (word if last not in "аяоеьй" else word[:-1])
    tail = stem[-1]
    if word.endswith(("ия", "ие")):
        a = {"я": ["я", "и", "и", "ю", "ей", "и"], "е": ["е", "я", "ю", "е", "ем", "и"]}[last]
        plural = "и" if last == "я" else "я"
        return [stem + e for e in [*a, plural, "ям", "ями", "ях"]]
    if word.endswith("ье"):
        return [stem + e for e in ["е", "я", "ю", "е", "ем", "е", "я", "ям", "ями", "ях"]]
    i = "и" if soft or tail in NO_Y else "ы"
    am, ami, ah = ("ям", "ями", "ях") if soft and tail not in HUSHING else ("ам", "ами", "ах")
    if gender == "f":
        if last == "ь":
            instrumental = word[:-1] + "ью"
            singular = [word, stem + "и", stem + "и", word, instrumental, stem + "и"]
        elif soft:
            singular = [word, stem + "и", stem + "е", stem + "ю", stem + "ей", stem + "е"]
        else:
            singular = [word, stem + i, stem + "е", stem + "у", stem + ("ей" if tail in HUSHING else "ой"), stem + "е"]
    elif gender == "n":
        a, u, om = ("я", "ю", "ем") if soft else ("а", "у", "ем" if last == "е" else "ом")
        singular = [word, stem + a, stem + u, word, stem + om, stem + "е"]
        i = "я" if soft else "а"
    else:
        a, u, om = ("я", "ю", "ем") if soft else ("а", "у", "ем" if tail in HUSHING else "ом")
        genitive = stem + a
        singular = [word, genitive, stem + u, genitive if animate else word, stem + om, stem + "е"]
    return [*singular, stem + i, stem + am, stem + ami, stem + ah]


def adjective(word, gender, case):
    """The form of an adjective beside a noun of this gender: m, a (animate m), f, n or p for plural."""
    stem, ending = word[:-2], word[-2:]
    soft = ending == "ий" and stem[-1] == "н"
    hushing = stem[-1] in HUSHING
    y = "и" if soft or stem[-1] in NO_Y else "ы"
    o = "е" if soft or (hushing and ending == "ий") else "о"
    if gender == "p" or case >= PLURAL:
        return stem + y + {NOM: "е", ACC: "е", PLURAL: "е", PLURAL_DAT: "м", PLURAL_INS: "ми", PLURAL_PRE: "х"}[case]
    if gender == "f":
        a, u = ("яя", "юю") if soft else ("ая", "ую")
        return stem + (a if case == NOM else u if case == ACC else o + "й")
    oblique = {GEN: o + "го", DAT: o + "му", INS: y + "м", PRE: o + "м"}
    if case in oblique:
        return stem + oblique[case]
    if gender == "n":
        return stem + o + "е"
    return word if case == NOM or gender == "m" else stem + o + "го"


def conjugate(infinitive):
    """Infinitive, third person singular and plural, first person plural, and the stem of the past."""
    past = infinitive[:-2]
    if infinitive.endswith(("овать", "евать")) and infinitive not in ("согревать",):
        stem = infinitive[:-5] + ("у" if infinitive.endswith("овать") else "ю")
        if infinitive.endswith("цевать"):
            stem = infinitive[:-5] + "у"
        return infinitive, stem + "ет", stem + "ют", stem + "ем", past
    if infinitive.endswith("ить"):
        stem = infinitive[:-3]
        return infinitive, stem + "ит", stem + ("ат" if stem[-1] in HUSHING else "ят"), stem + "им", past
    return infinitive, past + "ет", past + "ют", past + "ем", past


def irregular(text):
    """Entries of the irregular verbs. They have no first person plural of their own here."""
    return [(a, b, c, None, d) for a, b, c, d in (entry.split() for entry in text.split(";"))]


def past(verb, gender):
    stem = verb[4]
    masculine = {"наш": "нашёл", "цве": "цвёл"}.get(stem, stem + "л")
    return masculine if gender in "ma" else stem + {"f": "ла", "n": "ло", "p": "ли"}[gender]


def nouns():
    """Pairs of gender and forms, and the same for beings alone."""
    beings = [("a", decline(e, "m", True)) for e in listed(words.BEINGS_M)]
    beings += [("f", decline(e, "f", True)) for e in listed(words.BEINGS_F)]
    things = [("m", decline(e, "m", False)) for e in listed(words.THINGS_M)]
    things += [("f", decline(e, "f", False)) for e in listed(words.THINGS_F)]
    things += [("n", decline(e, "n", False)) for e in listed(words.THINGS_N)]
    return beings, things


ONES = "ноль один два три четыре пять шесть семь восемь девять".split()
TEENS = """десять одиннадцать двенадцать тринадцать четырнадцать пятнадцать шестнадцать семнадцать восемнадцать
девятнадцать""".split()
TENS = "- - двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто".split()
HUNDREDS = "- сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот".split()
ORDINALS = """нулевого первого второго третьего четвёртого пятого шестого седьмого восьмого девятого десятого
одиннадцатого двенадцатого тринадцатого четырнадцатого пятнадцатого шестнадцатого семнадцатого восемнадцатого
девятнадцатого двадцатого""".split()


def number(n, feminine=False):
    """A cardinal from 0 to 999 999 in words."""
    if n == 0:
        return ONES[0]
    parts = []
    if n >= 1000:
        thousands = n // 1000
        parts += [number(thousands, True), counted(thousands, "тысяча", "тысячи", "тысяч")]
        n %= 1000
    if n >= 100:
        parts.append(HUNDREDS[n // 100])
        n %= 100
    if n >= 20:
        parts.append(TENS[n // 10])
        n %= 10
    if n >= 10:
        parts.append(TEENS[n - 10])
    elif n:
        parts.append({1: "одна", 2: "две"}.get(n, ONES[n]) if feminine else ONES[n])
    return " ".join(parts)


def counted(n, one, few, many):
    """The form of a noun after the number."""
    if n % 100 in range(11, 15):
        return many
    return {1: one, 2: few, 3: few, 4: few}.get(n % 10, many)


def ordinal_genitive(n):
    """«двадцать пятого», from 1 to 31."""
    if n <= 20:
        return ORDINALS[n]
    if n == 30:
        return "тридцатого"
    return f"{TENS[n // 10]} {ORDINALS[n % 10]}"
