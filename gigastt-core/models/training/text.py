"""Makes the sentences that are spoken: commands and numbers from templates, open sentences from word lists.

A sentence belongs to the training or to the held-out part by its own digest, whatever seed made it, so no
sentence is in both. Texts of several sentences are composed of sentences of one part only.
"""

import hashlib
import random

import words
from grammar import (
    ACC, DAT, GEN, INS, NOM, PLURAL, PRE, adjective, conjugate, counted, irregular, listed, nouns, number,
    ordinal_genitive, past,
)  # fmt: skip

KINDS = ("command", "number", "open")
HELD_OUT_PERCENT = 10


def held_out(sentence):
    """Whether a sentence is never trained on."""
    return int(hashlib.md5(sentence.encode()).hexdigest(), 16) % 100 < HELD_OUT_PERCENT


class Writer:
    """Sentences from a seed."""

    def __init__(self, seed, part="train"):
        self.random = random.Random(seed)
        self.held_out = {"train": False, "test": True}[part]
        self.beings, self.things = nouns()
        self.nouns = self.beings + self.things
        self.adjectives = listed(words.ADJECTIVES)
        self.transitive = [conjugate(v) for v in listed(words.TRANSITIVE)] + irregular(words.IRREGULAR_TRANSITIVE)
        self.intransitive = [conjugate(v) for v in listed(words.INTRANSITIVE)] + irregular(words.IRREGULAR)

    def sentence(self, kind):
        """One sentence of a kind, of this writer's part."""
        make = {"command": self.command, "number": self.numeric, "open": self.open}[kind]
        while True:
            text = make()
            text = text[0].upper() + text[1:]
            if held_out(text) == self.held_out:
                return text

    # Commands and everyday questions.

    def pick(self, items):
        return self.random.choice(items)

    def listing(self, items):
        few = self.random.sample(items, self.random.randint(1, 4))
        return few[0] if len(few) == 1 else ", ".join(few[:-1]) + " и " + few[-1]

    def name(self, case):
        return self.pick(words.NAMES).split(":")[case]

    def command(self):
        r, p = self.random, self.pick
        city = p(words.CITIES).split(":")
        relative = p(words.RELATIVES).split(":")
        place = p(words.PLACES)
        device = p(words.DEVICES)
        when = p(["", "сегодня ", "завтра ", "послезавтра ", "вечером ", "утром ", "сейчас ", "в " + p(words.WEEKDAYS) + " "])
        return p([
            lambda: f"{p(['включи', 'выключи'])} {device} {place}.",
            lambda: f"{p(['включи', 'выключи', 'проверь', 'настрой', 'перезапусти'])} {device}.",
            lambda: f"{self.name(0)}, позвони {self.name(2)}.",
            lambda: f"позвони {p([relative[0], self.name(2)])}.",
            lambda: f"какая {when}погода в {city[2]}?",
            lambda: f"какая погода будет {when}в {city[2]}?",
            lambda: f"как {p(['доехать', 'дойти', 'добраться', 'проехать'])} до {p([p(listed(words.TARGETS)), city[1]])}?",
            lambda: f"{p(['не забудь купить', 'нужно купить', 'купи', 'добавь в список'])} {self.listing(words.GOODS)}.",
            lambda: f"напомни {when}{p(words.ERRANDS)}.",
            lambda: f"{p(['отправь сообщение', 'напиши письмо', 'передай привет'])} {p([relative[0], self.name(2)])}.",
            lambda: f"{p(['поставь', 'найди', 'включи'])} {p(words.GENRES)}{p(['', ' погромче', ' потише', ' ' + place])}.",
            lambda: f"{p(['сделай', 'можно'])} {p(['громче', 'тише', 'ярче', 'теплее', 'холоднее', 'светлее', 'темнее'])}.",
            lambda: f"где находится {p(['ближайшая аптека', 'ближайшая почта', 'ближайший банк', 'главный вокзал'])}?",
            lambda: f"{p(['открой', 'закрой'])} {p(['дверь', 'окно', 'шторы', 'ворота', 'приложение', 'карту', 'календарь'])} {place}.",
            lambda: f"закажи {p(['такси', 'пиццу', 'столик', 'билет'])} {p(['на ' + p(words.WEEKDAYS), 'до ' + city[1], 'на завтра'])}.",
            lambda: f"{p(['во сколько', 'когда'])} {p(['приедет', 'позвонит', 'придёт', 'вернётся'])} {self.name(0)}?",
            lambda: f"{p(['спасибо', 'привет', 'доброе утро', 'добрый вечер', 'добрый день', 'до свидания'])}, {self.name(0)}.",
            lambda: f"расскажи {p(['сказку', 'анекдот', 'новости', 'прогноз погоды', 'историю'])} {p(['про ' + relative[1], 'на ночь', 'о ' + city[2]])}.",
            lambda: f"улица {p(words.STREETS)}.",
        ])() if r.random() < 0.97 else p(["хватит.", "стоп.", "пауза.", "дальше.", "назад.", "да.", "нет.", "повтори.", "продолжай.", "помоги мне."])  # fmt: skip

    # Numbers, dates, times, money, addresses.

    def some_number(self):
        """Numbers of every length alike."""
        return self.random.randrange(10 ** self.random.choice([1, 2, 2, 2, 3, 3]))

    def clock(self):
        hour, minute = self.random.randrange(1, 24), self.random.choice([0, 0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55])
        text = f"{number(hour)} {counted(hour, 'час', 'часа', 'часов')}"
        return text + (f" {number(minute, True)} {counted(minute, 'минуту', 'минуты', 'минут')}" if minute else "")

    def numeric(self):
        p, n = self.pick, self.some_number
        a, b, c = n(), n(), n()
        place = p(words.PLACES)
        city = p(words.CITIES).split(":")
        date = f"{ordinal_genitive(self.random.randint(1, 31))} {p(words.MONTHS)}"
        return p([
            lambda: f"включи {number(a)} канал.",
            lambda: f"сколько будет {number(a)} {p(['плюс', 'минус', 'умножить на', 'разделить на'])} {number(b)}?",
            lambda: f"{p(['заведи', 'поставь'])} будильник на {p(['', 'завтра на ', p(words.WEEKDAYS) + ' на '])}{self.clock()}.",
            lambda: f"{p(['поставь', 'запусти'])} таймер на {number(a, True)} {counted(a, 'минуту', 'минуты', 'минут')}.",
            lambda: f"улица {p(words.STREETS)}, дом {number(a)}, квартира {number(b)}.",
            lambda: f"дом {number(a)}, этаж {number(b % 40)}, квартира {number(c)}.",
            lambda: f"{p(['встреча', 'экзамен', 'концерт', 'отпуск', 'собрание', 'праздник'])} {date}.",
            lambda: f"напомни {date} {p(words.ERRANDS)}.",
            lambda: f"это стоит {number(a * 1000 + b)} {counted(b if b % 100 else 5, 'рубль', 'рубля', 'рублей')}.",
            lambda: f"переведи {number(a)} {counted(a, 'рубль', 'рубля', 'рублей')} {self.name(2)}.",
            lambda: f"{p(['температура', 'на улице', 'в комнате'])} {p(['', 'минус ', 'плюс '])}{number(a % 60)} {counted(a % 60, 'градус', 'градуса', 'градусов')}.",
            lambda: f"поезд номер {number(a)} в {city[3]} отправляется с {ordinal_genitive(1 + b % 20)} пути.",
            lambda: f"рейс {number(a)} из {city[1]} прибывает в {self.clock()}.",
            lambda: f"мой номер {' '.join(number(n()) for _ in range(self.random.randint(2, 5)))}.",
            lambda: f"код {' '.join(number(self.random.randrange(10)) for _ in range(self.random.randint(3, 7)))}.",
            lambda: f"громкость {number(a % 101)} {counted(a % 101, 'процент', 'процента', 'процентов')}.",
            lambda: f"яркость {number(a % 101)} {counted(a % 101, 'процент', 'процента', 'процентов')} {place}.",
            lambda: f"счёт {number(a % 30)} {number(b % 30)}.",
            lambda: f"до {city[1]} {number(a)} {counted(a, 'километр', 'километра', 'километров')}.",
            lambda: f"в тысяча {number(a % 1000 or 7)} году.",
            lambda: " ".join(number(n()) for _ in range(self.random.randint(1, 4))) + ".",
        ])()  # fmt: skip

    # Open sentences.

    def phrase(self, case, beings=False, adjective_share=0.4):
        """A noun in a case, perhaps with an adjective: gender and text."""
        gender, forms = self.pick(self.beings if beings else self.nouns)
        if self.random.random() > adjective_share:
            return gender, forms[case]
        shown = "p" if case >= PLURAL else gender
        return gender, f"{adjective(self.pick(self.adjectives), shown, case)} {forms[case]}"

    def subject(self):
        """Gender (p for plural) and text."""
        roll = self.random.random()
        if roll < 0.12:
            name = self.pick(words.NAMES).split(":")[0]
            return ("f" if name[-1] in "ая" and name not in ("Саша", "Ваня", "Миша", "Коля", "Дима") else "m"), name
        if roll < 0.3:
            return "p", self.phrase(PLURAL)[1]
        if roll < 0.38:
            return "p", f"{self.phrase(NOM, adjective_share=0.2)[1]} и {self.phrase(NOM, adjective_share=0.2)[1]}"
        return self.phrase(NOM, beings=roll < 0.6, adjective_share=0.5)

    def object(self):
        gender, text = self.phrase(self.pick([ACC, ACC, ACC, PLURAL]))
        del gender
        return text

    def where(self):
        case, before = self.pick([
            (PRE, "в"), (PRE, "на"), (PRE, "о"), (GEN, "без"), (GEN, "около"), (GEN, "для"), (GEN, "после"), (GEN, "из"),
            (GEN, "возле"), (GEN, "у"), (GEN, "от"), (DAT, "к"), (DAT, "по"), (INS, "с"), (INS, "над"), (INS, "под"),
            (INS, "перед"), (INS, "за"), (ACC, "через"), (ACC, "в"), (ACC, "на"), (ACC, "про"), (ACC, "сквозь"),
        ])  # fmt: skip
        return f"{before} {self.phrase(case)[1]}"

    def predicate(self, gender):
        transitive = self.random.random() < 0.5
        verb = self.pick(self.transitive if transitive else self.intransitive)
        roll = self.random.random()
        if roll < 0.5:
            text = verb[2] if gender == "p" else verb[1]
        elif roll < 0.85:
            text = past(verb, gender)
        else:
            helper = self.pick(["хотят", "могут", "любят"] if gender == "p" else ["хочет", "может", "любит"])
            text = f"{helper} {verb[0]}"
        if self.random.random() < 0.12:
            text = "не " + text
        if transitive:
            text += " " + self.object()
        return text

    def clause(self):
        gender, subject = self.subject()
        predicate = self.predicate(gender)
        roll = self.random.random()
        adverb = self.pick(words.ADVERBS)
        if roll < 0.2:
            return f"{subject} {predicate} {adverb}"
        if roll < 0.4:
            return f"{subject} {adverb} {predicate}"
        if roll < 0.55:
            return f"{adverb} {subject} {predicate}"
        if roll < 0.8:
            return f"{subject} {predicate} {self.where()}"
        return f"{subject} {predicate}"

    def open(self):
        p = self.pick
        roll = self.random.random()
        if roll < 0.5:
            return self.clause() + "."
        if roll < 0.6:
            return f"{p(['почему', 'зачем', 'когда', 'где', 'как', 'разве', 'неужели'])} {self.clause()}?"
        if roll < 0.66:
            first, second = self.phrase(NOM)[1], self.phrase(NOM)[1]
            return f"{first} это {second}, {self.phrase(NOM)[1]}."
        if roll < 0.72:
            return f"{self.phrase(NOM)[1]} и {self.phrase(NOM)[1]} это {self.phrase(NOM, adjective_share=1)[1]}, {self.phrase(NOM, adjective_share=1)[1]}."
        if roll < 0.78:
            verb = p([v for v in self.transitive if v[3]])
            return f"{p(['мы', 'мы не', 'мы часто', 'сегодня мы', 'мы вместе'])} {verb[3]} {self.object()} {self.where()}."
        if roll < 0.88:
            return f"{self.clause()}, {p(['а', 'но', 'и', 'потому что', 'поэтому', 'хотя', 'когда', 'если', 'пока'])} {self.clause()}."
        if roll < 0.94:
            return f"{p(['я знаю', 'он сказал', 'она думает', 'говорят', 'мне кажется', 'все видят'])}, что {self.clause()}."
        return f"{self.where()} {self.predicate(p('mfnp'))}."


def pieces():
    """The vocabulary: letters inside a word, small and capital letters at its beginning, marks."""
    letters = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
    beginnings = [c for c in letters if c not in "ъыь"]
    return ["<unk>", *letters, *("▁" + c for c in beginnings), *("▁" + c.upper() for c in beginnings), *",.?!-"]


def tokens(text, vocabulary):
    """The text as indices of pieces, and the word that each belongs to."""
    index = {piece: i for i, piece in enumerate(vocabulary)}
    found, owners = [], []
    for at, word in enumerate(text.split(" ")):
        for i, letter in enumerate(word):
            found.append(index[("▁" if i == 0 else "") + letter])
            owners.append(at)
    return found, owners


if __name__ == "__main__":
    import sys

    writer = Writer(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    for kind in KINDS:
        for _ in range(12):
            print(kind, writer.sentence(kind))
