//! Numbers that are somebody's: phone and card numbers. Ids, amounts and times are numbers too, and a log without them is of no use,
//! so length alone does not count: a phone number begins with `+` or `0` or is written in the American groups, a card number has a
//! card's first digit and a right check digit.

use std::ops::Range;

pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let part_of_a_word = match bytes[..at] {
            [.., before, b'-'] => is_word(before),
            [.., before] => is_word(before) || before == b'.',
            [] => false,
        };
        let begins = matches!(bytes[at], b'+' | b'(' | b'0'..=b'9') && !part_of_a_word;
        if !begins {
            at += 1;
            continue;
        }
        if let Some(end) = uuid(text, at) {
            at = end;
            continue;
        }
        let candidate = Candidate::read(bytes, at);
        match candidate.longest() {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at = candidate.groups.first().map_or(at + 1, |group| group.end),
        }
    }
}

/// Whether a whole number has the form of a card number.
#[must_use]
pub fn is_card(number: u64) -> bool {
    let digits: Vec<u8> = number.to_string().bytes().map(|byte| byte - b'0').collect();
    card(&digits)
}

/// Groups of digits that stand next to each other, and may be one number or several.
struct Candidate {
    plus: bool,
    digits: Vec<u8>,
    groups: Vec<Group>,
}

struct Group {
    length: usize,
    /// Digits up to here.
    digits: usize,
    end: usize,
    /// Before it stands something that a card number never has.
    loose: bool,
    /// Before it stands a dot or a slash, as in decimals, addresses and dates.
    dotted: bool,
    /// Nothing that belongs to it follows.
    closed: bool,
}

impl Candidate {
    fn read(bytes: &[u8], start: usize) -> Self {
        let plus = bytes[start] == b'+';
        let (mut digits, mut groups) = (Vec::new(), Vec::<Group>::new());
        let (mut at, mut loose, mut dotted) = (start + usize::from(plus), false, false);
        loop {
            let gap = bytes[at..].iter().take(3).take_while(|byte| b" -().".contains(byte) || **byte == b'/').count();
            let between = &bytes[at..at + gap];
            let length = bytes[at + gap..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if length == 0 || (!groups.is_empty() && gap == 0) || digits.len() > 40 {
                break;
            }
            loose |= between.iter().any(|byte| matches!(byte, b'(' | b')'));
            dotted |= between.iter().any(|byte| matches!(byte, b'.' | b'/'));
            digits.extend(bytes[at + gap..at + gap + length].iter().map(|byte| byte - b'0'));
            at += gap + length;
            let closed = !bytes.get(at).is_some_and(|byte| is_word(*byte) || *byte == b':');
            groups.push(Group { length, digits: digits.len(), end: at, loose, dotted, closed });
        }
        Self { plus, digits, groups }
    }

    /// The end of the longest number of a person that begins here.
    fn longest(&self) -> Option<usize> {
        let is_number = |count: &usize| self.groups[count - 1].closed && (self.is_phone(*count) || self.is_card(*count));
        (1..=self.groups.len()).rev().find(is_number).map(|count| self.groups[count - 1].end)
    }

    fn is_phone(&self, count: usize) -> bool {
        let last = &self.groups[count - 1];
        if self.plus {
            return (7..=15).contains(&last.digits);
        }
        let lengths = || self.groups[..count].iter().map(|group| group.length);
        let american = lengths().eq([3, 3, 4]) || lengths().eq([1, 3, 3, 4]);
        american || self.digits.first() == Some(&0) && (9..=15).contains(&last.digits) && !last.dotted
    }

    fn is_card(&self, count: usize) -> bool {
        let last = &self.groups[count - 1];
        !last.loose && !last.dotted && card(&self.digits[..last.digits])
    }
}

/// ISO/IEC 7812: a card's first digit, 13 to 19 digits, the check digit of Luhn.
fn card(digits: &[u8]) -> bool {
    if !(13..=19).contains(&digits.len()) || !matches!(digits[0], 2..=6) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The end of the UUID that begins here.
fn uuid(text: &str, start: usize) -> Option<usize> {
    let candidate = text.as_bytes().get(start..start + 36)?;
    let legal = |(place, byte): (usize, &u8)| if matches!(place, 8 | 13 | 18 | 23) { *byte == b'-' } else { byte.is_ascii_hexdigit() };
    candidate.iter().enumerate().all(legal).then_some(start + 36)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
