//! What people type, made fit to be shown: shared by names, chat and settings.

use unicode_normalization::UnicodeNormalization as _;

/// Brings text into normal form C, trims it and makes each run of inner white space one space.
///
/// Line breaks and tabs are white space here: callers that refuse control characters look for them first.
pub(crate) fn tidied(text: &str) -> String {
    let mut tidy = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.extend(word.nfc());
    }
    tidy
}

/// Whether a character breaks a line: a control character, or Unicode's line and paragraph separators.
pub(crate) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character is invisible and may change how its neighbours are shown: Unicode's category Cf.
///
/// In names these serve to pass for somebody else, so names refuse them. (Unicode 16.)
pub(crate) fn is_format(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{600}'..='\u{605}' | '\u{61C}' | '\u{6DD}' | '\u{70F}' | '\u{890}'..='\u{891}' | '\u{8E2}'
        | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{110BD}' | '\u{110CD}'
        | '\u{13430}'..='\u{1343F}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0001}'
        | '\u{E0020}'..='\u{E007F}')
}

/// Whether a character shows nothing by itself: Unicode's default ignorables that are not of category Cf, as
/// variation selectors and the Hangul fillers.
pub(crate) fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{34F}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0100}'..='\u{E01EF}')
}

/// Folds case so that texts which differ in case alone become equal: simple upper-casing, then lower-casing, by
/// character, which comes as near to Unicode's full case folding as the standard library's tables go.
pub(crate) fn folded(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}
