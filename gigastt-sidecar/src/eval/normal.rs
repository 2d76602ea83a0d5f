//! What of a text is compared. The same is done to what was said and to what was recognised.

use clap::ValueEnum;

use super::numbers::to_digits;

/// How much of a text counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compare {
    /// Everything: words are what stands between spaces.
    Exact,
    /// Words without case, punctuation and ё.
    Words,
    /// The same, and numbers in digits equal those in words.
    Spoken,
}

impl Compare {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Words => "words",
            Self::Spoken => "spoken",
        }
    }

    /// The words of a text that count.
    pub(super) fn words(self, text: &str) -> Vec<String> {
        match self {
            Self::Exact => text.split_whitespace().map(str::to_owned).collect(),
            Self::Words => plain(text).iter().flat_map(|word| split(word)).collect(),
            Self::Spoken => {
                let words: Vec<_> = signs(text).iter().map(|word| unit(word)).collect();
                to_digits(&words).iter().flat_map(|word| rejoin(word)).collect()
            }
        }
    }
}

/// Signs that are spoken as words.
const SIGNS: &[(char, &str)] = &[
    ('%', "процент"),
    ('№', "номер"),
    ('₽', "рубль"),
    ('$', "доллар"),
    ('€', "евро"),
    ('°', "градус"),
    ('+', "плюс"),
    ('=', "равно"),
];

/// Words that are written as signs or short, and their forms: the first stands for all.
const UNITS: &[&str] = &[
    "процент процента процентов проценту процентам процентом процентами проценты проценте процентах",
    "рубль рубля рублей рублю рублям рублем рублями рубли рубле рублях руб",
    "доллар доллара долларов доллару долларам долларом долларами доллары долларе долларах",
    "градус градуса градусов градусу градусам градусом градусами градусы градусе градусах",
    "километр километра километров километру километрам километром километрами километры километре километрах км",
    "килограмм килограмма килограммов килограмму килограммам килограммом килограммами килограммы килограмме кг",
    "номер номера номеру номером номере",
];

/// Small letters without ё, accents and punctuation. A hyphen or a comma inside a word is left.
fn plain(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace("и\u{306}", "й").replace("е\u{308}", "е").replace('ё', "е");
    let spaced = text.chars().filter(|c| *c != '\u{301}').map(|c| match c {
        // Not letters of Russian, and not what numbers are told by.
        '\u{2010}' | '\u{2011}' => '-',
        c if c.is_alphanumeric() || matches!(c, '-' | ',') => c,
        _ => ' ',
    });
    let spaced: String = spaced.collect();
    spaced.split(' ').map(|word| word.trim_matches(['-', ',']).to_owned()).filter(|w| !w.is_empty()).collect()
}

/// As [`plain`], with the signs in words, a minus before a number too, and only the hyphens and commas that
/// numbers need.
fn signs(text: &str) -> Vec<String> {
    let mut spoken = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let digit_follows = rest.peek().is_some_and(char::is_ascii_digit);
        match SIGNS.iter().find(|(sign, _)| *sign == c) {
            Some((_, word)) => spoken.extend([" ", word, " "]),
            None if matches!(c, '-' | '−' | '–') && digit_follows && before.is_whitespace() => {
                spoken.push_str(" минус ");
            }
            None => spoken.push(c),
        }
        before = c;
    }
    plain(&spoken).iter().flat_map(|word| numeric(word)).collect()
}

/// The parts of a word around its hyphens and commas, but for `3,5`, `5-го` and the like.
fn numeric(word: &str) -> Vec<String> {
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let one_comma = word.split(',').count() == 2 && word.split(',').all(digits);
    let ending = word.split_once('-').is_some_and(|(number, end)| {
        digits(number) && !end.is_empty() && end.chars().all(char::is_alphabetic) && end.chars().count() <= 4
    });
    if one_comma || ending { vec![word.to_owned()] } else { split(word) }
}

/// Words with hyphens and commas as several.
fn split(word: &str) -> Vec<String> {
    word.split(['-', ',']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// What remains of hyphens after the numbers were found; the comma of a number is kept.
fn rejoin(word: &str) -> Vec<String> {
    if word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains('-') {
        vec![word.to_owned()]
    } else {
        split(word)
    }
}

/// The form that stands for all of a unit's.
fn unit(word: &str) -> String {
    let forms = UNITS.iter().find(|forms| forms.split(' ').any(|form| form == word));
    forms.and_then(|forms| forms.split(' ').next()).unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(compare: Compare, text: &str, expected: &str) {
        assert_eq!(compare.words(text).join(" "), expected, "{text}");
    }

    /// Texts that say the same.
    fn equal(texts: &[&str]) {
        for text in texts {
            assert_eq!(Compare::Spoken.words(text), Compare::Spoken.words(texts[0]), "{text}, {}", texts[0]);
        }
    }

    fn different(a: &str, b: &str) {
        assert_ne!(Compare::Spoken.words(a), Compare::Spoken.words(b), "{a}, {b}");
    }

    #[test]
    fn exact_words_are_between_spaces() {
        check(Compare::Exact, "  Ещё  раз,\tпять. ", "Ещё раз, пять.");
        check(Compare::Exact, "", "");
    }

    #[test]
    fn words_have_no_case_and_no_punctuation() {
        check(Compare::Words, "Ещё раз — «пять», 60 000!", "еще раз пять 60 000");
        check(Compare::Words, "что-то из-за кое‑кого 3,5", "что то из за кое кого 3 5");
        check(Compare::Words, " — ... ! ", "");
        check(Compare::Words, "за\u{301}мок и\u{306} е\u{308}ж", "замок й еж");
    }

    #[test]
    fn numbers_are_the_same_in_digits_and_in_words() {
        equal(&[
            "Шестьдесят тысяч тенге, сколько будет стоить?",
            "60 000 тенге — сколько будет стоить?",
            "60\u{a0}000 тенге сколько будет стоить",
            "60 тыс. тенге, сколько будет стоить",
        ]);
        equal(&["пятого мая", "5 мая", "5-го мая", "Пятое мая."]);
        equal(&["в десять тридцать", "в 10:30", "в 10.30"]);
        equal(&["восемь девятьсот сто двадцать три сорок пять", "8 900 123-45", "8(900)123-45", "890012345"]);
        equal(&["три целых пять десятых процента", "3,5%", "3,5 процента"]);
        equal(&["минус двадцать градусов", "-20°", "−20 градусов", "минус 20 градусов"]);
        equal(&["плюс пять", "+5", "+ 5"]);
        equal(&["сто рублей", "100 ₽", "100 руб.", "100 рублей"]);
        equal(&["дом номер два", "дом № 2", "дом №2"]);
        equal(&["две тысячи пятый год", "2005-й год", "2005 год"]);
    }

    #[test]
    fn what_differs_stays_different() {
        different("пять", "шесть");
        different("60 000", "6 000");
        different("3,5", "35");
        different("что-то", "чтото");
        different("минус пять", "пять");
        different("улица", "улицы");
    }

    #[test]
    fn hyphens_between_words_separate() {
        equal(&["по-моему, кто-то", "по моему кто то"]);
        equal(&["2-комнатная", "2 комнатная"]);
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in ["Сто рублей 3,5% — №5-го!", "60 000 тыс. что-то", "двадцать пять сто тридцать"]
        {
            let once = Compare::Spoken.words(text);
            assert_eq!(Compare::Spoken.words(&once.join(" ")), once, "{text}");
        }
    }
}
