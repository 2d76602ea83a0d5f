//! Numbers in Russian text, spoken or written in digits, brought to one form.
//!
//! `шестьдесят тысяч`, `60 тысяч`, `60 тыс.`, `60 000` and `60000` all become `60000`; `пятого`, `пятый` and `5-го` become
//! `5`. Words become digits and not the other way round, for digits do not say their case and gender. Numbers
//! that follow each other become one: whether `25 137` is one number or two nobody can tell from its digits, and
//! a telephone number is grouped as its writer likes.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a word says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// A cardinal below a thousand, by what it fills: its own digits and those after it.
    Small(u64),
    /// A power of a thousand.
    Power(u64),
    /// An ordinal, with which a number ends.
    Ordinal(u64),
    /// `целых`, after which tenths, hundredths or thousandths come.
    Whole,
}

/// The forms of cardinals.
const CARDINALS: &[(u64, &str)] = &[
    (0, "ноль ноля нолю нолем ноле нуль нуля нулю нулем нуле"),
    (1, "один одна одно одного одной одному одну одним одном одною"),
    (2, "два две двух двум двумя"),
    (3, "три трех трем тремя"),
    (4, "четыре четырех четырем четырьмя"),
    (8, "восемь восьми восемью восьмью"),
    (40, "сорок сорока"),
    (80, "восемьдесят восьмидесяти восемьюдесятью восьмьюдесятью"),
    (90, "девяносто девяноста"),
    (100, "сто ста"),
    (200, "двести двухсот двумстам двумястами двухстах"),
    (300, "триста трехсот тремстам тремястами трехстах"),
    (400, "четыреста четырехсот четыремстам четырьмястами четырехстах"),
    (800, "восемьсот восьмисот восьмистам восемьюстами восьмьюстами восьмистах"),
];

/// Cardinals that end as `пять`: this, then `ь`, `и` or `ью`.
const LIKE_FIVE: &[(u64, &str)] = &[
    (5, "пят"),
    (6, "шест"),
    (7, "сем"),
    (9, "девят"),
    (10, "десят"),
    (11, "одиннадцат"),
    (12, "двенадцат"),
    (13, "тринадцат"),
    (14, "четырнадцат"),
    (15, "пятнадцат"),
    (16, "шестнадцат"),
    (17, "семнадцат"),
    (18, "восемнадцат"),
    (19, "девятнадцат"),
    (20, "двадцат"),
    (30, "тридцат"),
];

/// What five, six, seven and nine make with tens and hundreds.
const COMPOUND: &[(u64, &str)] = &[(5, "пят"), (6, "шест"), (7, "сем"), (9, "девят")];

/// Stems of ordinals, which end as adjectives do.
const ORDINALS: &[(u64, &str)] = &[
    (0, "нулев"),
    (1, "перв"),
    (2, "втор"),
    (4, "четверт"),
    (5, "пят"),
    (6, "шест"),
    (7, "седьм"),
    (8, "восьм"),
    (9, "девят"),
    (10, "десят"),
    (11, "одиннадцат"),
    (12, "двенадцат"),
    (13, "тринадцат"),
    (14, "четырнадцат"),
    (15, "пятнадцат"),
    (16, "шестнадцат"),
    (17, "семнадцат"),
    (18, "восемнадцат"),
    (19, "девятнадцат"),
    (20, "двадцат"),
    (30, "тридцат"),
    (40, "сороков"),
    (50, "пятидесят"),
    (60, "шестидесят"),
    (70, "семидесят"),
    (80, "восьмидесят"),
    (90, "девяност"),
    (100, "сот"),
    (200, "двухсот"),
    (300, "трехсот"),
    (400, "четырехсот"),
    (500, "пятисот"),
    (600, "шестисот"),
    (700, "семисот"),
    (800, "восьмисот"),
    (900, "девятисот"),
    (1_000, "тысячн"),
    (2_000, "двухтысячн"),
    (1_000_000, "миллионн"),
];
const ADJECTIVES: &str = "ый ой ая ое ого ому ую ым ом ые ых ыми ою";
const THIRD: &str =
    "третий третья третье третьего третьей третьему третью третьим третьем третьи третьих третьими";

/// Stems of the powers of a thousand, and how they end.
const POWERS: &[(u64, &str, &str)] = &[
    (1_000, "тысяч", "а и у ей ею е ам ами ах"),
    (1_000_000, "миллион", "а у ом е ы ов ам ами ах"),
    (1_000_000_000, "миллиард", "а у ом е ы ов ам ами ах"),
    (1_000_000_000_000, "триллион", "а у ом е ы ов ам ами ах"),
];
const SHORT_POWERS: &[(u64, &str)] =
    &[(1_000, "тыс"), (1_000_000, "млн"), (1_000_000_000, "млрд"), (1_000_000_000_000, "трлн")];

/// What may follow the hyphen of an ordinal in digits: `5-го`, `2-х`, `1-ый`.
const ENDINGS: &str = "й я е го му м х ю ми ти ым ом ой ый ий ая ое ые ых ого ому его ему ую ей им ем их ыми ими ья ье ьи ьего ьему ью";

static PARTS: LazyLock<HashMap<String, Part>> = LazyLock::new(|| {
    let mut parts = HashMap::new();
    let mut add = |word: String, part| {
        parts.insert(word, part);
    };
    for (value, stem) in ORDINALS {
        ADJECTIVES.split(' ').for_each(|end| add(format!("{stem}{end}"), Part::Ordinal(*value)));
    }
    THIRD.split(' ').for_each(|word| add(word.into(), Part::Ordinal(3)));
    for (value, forms) in CARDINALS {
        forms.split(' ').for_each(|word| add(word.into(), Part::Small(*value)));
    }
    for (value, stem) in LIKE_FIVE {
        ["ь", "и", "ью"].iter().for_each(|end| add(format!("{stem}{end}"), Part::Small(*value)));
    }
    for (value, stem) in COMPOUND {
        let tens = ["ьдесят", "идесяти", "ьюдесятью"];
        // Nineteen hundreds are not ninety: девяносто stands among the cardinals.
        if *value != 9 {
            tens.iter().for_each(|end| add(format!("{stem}{end}"), Part::Small(value * 10)));
        }
        let hundreds = ["ьсот", "исот", "истам", "ьюстами", "истах"];
        hundreds.iter().for_each(|end| add(format!("{stem}{end}"), Part::Small(value * 100)));
    }
    for (value, stem, ends) in POWERS {
        add((*stem).into(), Part::Power(*value));
        ends.split(' ').for_each(|end| add(format!("{stem}{end}"), Part::Power(*value)));
    }
    SHORT_POWERS.iter().for_each(|(value, word)| add((*word).into(), Part::Power(*value)));
    ["целых", "целая", "целой", "целую"].iter().for_each(|word| add((*word).into(), Part::Whole));
    parts
});

/// Replaces the numbers in a text of plain words, each run of them by one word of digits. Words are in small
/// letters, without ё and without punctuation but for the hyphen of `5-го` and the comma of `3,5`.
pub(super) fn to_digits(words: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut run = String::new();
    let mut at = 0;
    while at < words.len() {
        match number(&words[at..]) {
            Some((digits, taken)) => {
                run.push_str(&digits);
                at += taken;
            }
            None => {
                if !run.is_empty() {
                    found.push(std::mem::take(&mut run));
                }
                found.push(words[at].clone());
                at += 1;
            }
        }
    }
    if !run.is_empty() {
        found.push(run);
    }
    found
}

/// The number that a text begins with, in digits, and how many words it takes.
fn number(words: &[String]) -> Option<(String, usize)> {
    let (whole, taken) = cardinal(words)?;
    let rest = &words[taken..];
    if rest.first().and_then(|word| part(word)) == Some(Part::Whole)
        && let Some((parts, more)) = cardinal(&rest[1..])
        && let Some(places) = rest.get(1 + more).and_then(|word| places(word))
        && parts.len() <= places
    {
        return Some((format!("{whole},{parts:0>places$}"), taken + 1 + more + 1));
    }
    match rest {
        [with, half, ..] if with == "с" && half == "половиной" => {
            Some((format!("{whole},5"), taken + 2))
        }
        _ => Some((whole, taken)),
    }
}

/// Digits after the comma in tenths, hundredths and thousandths.
fn places(word: &str) -> Option<usize> {
    match part(word) {
        Some(Part::Ordinal(10)) => Some(1),
        Some(Part::Ordinal(100)) => Some(2),
        Some(Part::Ordinal(1_000)) => Some(3),
        _ => None,
    }
}

/// The whole number that a text begins with, in digits as they are written or as its words mean.
fn cardinal(words: &[String]) -> Option<(String, usize)> {
    let first = words.first()?;
    if let Some(digits) = written(first) {
        let power = words.get(1).and_then(|word| part(word));
        return match (counted(&digits, 1_000_000), power) {
            (Some(value), Some(Part::Power(_))) => Some(spoken(Some(value), words, 1)),
            _ => Some((digits, 1)),
        };
    }
    match part(first)? {
        Part::Small(_) | Part::Power(_) | Part::Ordinal(_) => Some(spoken(None, words, 0)),
        Part::Whole => None,
    }
}

/// Adds up words from `taken` on, after a group that was written in digits.
fn spoken(begun: Option<u64>, words: &[String], mut taken: usize) -> (String, usize) {
    let (mut total, mut group) = (0_u64, begun);
    // What the next part has to be below: the last one's lowest digit, and the last power.
    let (mut below, mut power_below) = (if begun.is_some() { 0 } else { u64::MAX }, u64::MAX);
    while let Some(word) = words.get(taken) {
        // After a power its rest may be in digits: `5 млн 200 тысяч`.
        let digits = written(word).filter(|_| below == 1_000).and_then(|found| counted(&found, 1_000));
        let Some(part) = digits.map(Part::Small).or_else(|| part(word)) else { break };
        match part {
            Part::Small(value) | Part::Ordinal(value) if fits(value, below, group) => {
                group = Some(group.unwrap_or(0) + value);
                below = if digits.is_some() { 0 } else { lowest(value) };
            }
            Part::Power(value) if value < power_below && group != Some(0) => {
                total += group.take().unwrap_or(1) * value;
                (below, power_below) = (value.min(1_000), value);
            }
            Part::Small(_) | Part::Power(_) | Part::Ordinal(_) | Part::Whole => break,
        }
        taken += 1;
        if matches!(part, Part::Ordinal(_)) {
            break;
        }
    }
    // The first word is always a part: a number stands alone where nothing else fits.
    ((total + group.unwrap_or(0)).to_string(), taken)
}

/// Whether a part can follow a group whose lowest digit so far leaves room below `below`. Zero stands alone.
fn fits(value: u64, below: u64, group: Option<u64>) -> bool {
    match value {
        0 => group.is_none() && below == u64::MAX,
        _ => value < below,
    }
}

/// What has to be above everything that follows a part in its group.
fn lowest(value: u64) -> u64 {
    match value {
        0..20 => 0,
        20..100 => 10,
        100..1_000 => 100,
        _ => 0,
    }
}

/// The value of digits that stand for a number below `limit`, and not for a code.
fn counted(digits: &str, limit: u64) -> Option<u64> {
    digits.parse().ok().filter(|value| *value < limit && !digits.starts_with('0'))
}

fn part(word: &str) -> Option<Part> {
    PARTS.get(word).copied()
}

/// The digits of a word that is written in digits, with its ending as an ordinal or without.
fn written(word: &str) -> Option<String> {
    let end = word.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(word.len());
    let (digits, ending) = word.split_at(end);
    let known = |ending: &str| ENDINGS.split(' ').any(|known| known == ending);
    let fits = ending.is_empty() || known(ending.strip_prefix('-').unwrap_or(ending));
    (digits.starts_with(|c: char| c.is_ascii_digit()) && fits).then(|| digits.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        assert_eq!(to_digits(&words).join(" "), expected, "{text}");
    }

    #[test]
    fn cardinals_of_every_case() {
        check("ноль", "0");
        check("включи восемьдесят два канал", "включи 82 канал");
        check("двух трех четырьмя пятью", "2345");
        check("около пятидесяти шести рублей", "около 56 рублей");
        check("пятьсот девятьсот семьюстами", "500900700");
        check("девятнадцатью девяноста", "1990");
        check("сто восемьдесят семь", "187");
    }

    #[test]
    fn thousands_and_more() {
        check("шестьдесят тысяч", "60000");
        check("тысяча девятьсот девяносто девятый год", "1999 год");
        check("две тысячи пять", "2005");
        check("два миллиона триста тысяч сорок", "2300040");
        check("миллиард", "1000000000");
        check("сто двадцать пять тысяч шестьсот", "125600");
        check("двухтысячного", "2000");
        check("пять тысяч миллион", "50001000000");
    }

    #[test]
    fn digits_with_words() {
        check("60 тысяч", "60000");
        check("60 тыс", "60000");
        check("5 млн 200 тысяч", "5200000");
        check("60 000 тенге", "60000 тенге");
        check("007 тысяч", "0071000");
    }

    #[test]
    fn ordinals_in_words_and_digits() {
        check("пятого мая", "5 мая");
        check("5-го мая", "5 мая");
        check("5го мая", "5 мая");
        check("двадцать третье", "23");
        check("третьего сорокового двухсотой", "340200");
        check("2-х часов", "2 часов");
        // An ordinal ends its number.
        check("двадцатый пять", "205");
        check("2-комнатная", "2-комнатная");
    }

    #[test]
    fn numbers_in_a_row_are_one() {
        check("двадцать пять сто тридцать семь", "25137");
        check("25 137", "25137");
        check("10 30", "1030");
        check("десять тридцать", "1030");
        check("десять ноль пять", "1005");
        check("двадцать двенадцать", "2012");
        check("восемь девятьсот сто двадцать три сорок пять", "890012345");
    }

    #[test]
    fn fractions() {
        check("три целых пять десятых процента", "3,5 процента");
        check("ноль целых пять сотых", "0,05");
        check("три с половиной часа", "3,5 часа");
        check("3,5 часа", "3,5 часа");
        check("три целых яблока", "3 целых яблока");
        check("целых пять", "целых 5");
    }

    #[test]
    fn other_words_are_left_alone() {
        check("", "");
        check("раз сотня пятно шестой стол семья", "раз сотня пятно 6 стол семья");
        check("одни с половиной", "одни с половиной");
    }

    /// Every number up to a million and beyond, said by a speller that shares nothing with the table above.
    #[test]
    fn what_is_spelled_is_read() {
        for n in (0..3_000).chain((3_000..2_000_000).step_by(1_237)) {
            check(&spell(n), &n.to_string());
        }
    }

    fn spell(n: u64) -> String {
        const UNITS: [&str; 20] = [
            "ноль",
            "один",
            "два",
            "три",
            "четыре",
            "пять",
            "шесть",
            "семь",
            "восемь",
            "девять",
            "десять",
            "одиннадцать",
            "двенадцать",
            "тринадцать",
            "четырнадцать",
            "пятнадцать",
            "шестнадцать",
            "семнадцать",
            "восемнадцать",
            "девятнадцать",
        ];
        const TENS: [&str; 8] = [
            "двадцать",
            "тридцать",
            "сорок",
            "пятьдесят",
            "шестьдесят",
            "семьдесят",
            "восемьдесят",
            "девяносто",
        ];
        const HUNDREDS: [&str; 9] = [
            "сто",
            "двести",
            "триста",
            "четыреста",
            "пятьсот",
            "шестьсот",
            "семьсот",
            "восемьсот",
            "девятьсот",
        ];
        let join = |head: String, rest: u64| match rest {
            0 => head,
            rest => format!("{head} {}", spell(rest)),
        };
        match n {
            0..20 => UNITS[n as usize].into(),
            20..100 => join(TENS[n as usize / 10 - 2].into(), n % 10),
            100..1_000 => join(HUNDREDS[n as usize / 100 - 1].into(), n % 100),
            1_000..1_000_000 => join(format!("{} тысяч", spell(n / 1_000)), n % 1_000),
            _ => join(format!("{} миллионов", spell(n / 1_000_000)), n % 1_000_000),
        }
    }
}
