//! Words: nearest known one, snake case, lists.

/// The known word that is nearest to `word`, if it is a slip away from one: at most a third of its letters.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let (distance, best) = known.iter().map(|known| (distance(word, known), *known)).min()?;
    (distance * 3 <= best.len().max(3)).then_some(best)
}

/// `unknown channel `critcal`, did you mean `critical`?`, or the list of what there is.
pub(crate) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(best) => format!("unknown {what} `{word}`, did you mean `{best}`?"),
        None => format!(
            "unknown {what} `{word}`; there are {}",
            list(known.iter().map(|w| format!("`{w}`")), "and")
        ),
    }
}

/// `a, b or c`.
pub(crate) fn list(words: impl IntoIterator<Item = impl ToString>, last: &str) -> String {
    let mut words: Vec<String> = words.into_iter().map(|word| word.to_string()).collect();
    match words.pop() {
        Some(end) if words.is_empty() => end,
        Some(end) => format!("{} {last} {end}", words.join(", ")),
        None => String::new(),
    }
}

/// `CrateBox` as `crate_box`, `HTTPServer` as `http_server`.
pub(crate) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| letters[before]);
        let after = letters.get(at + 1);
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                before != '_' && (!before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()))
            });
        if begins {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// Insertions, deletions and replacements from one word to the other (Levenshtein, 1965), a row at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = line + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        let rows = [
            ("CrateBox", "crate_box"),
            ("HTTPServer", "http_server"),
            ("Door2Left", "door2_left"),
            ("A", "a"),
            ("already_so", "already_so"),
            ("Odd_Name", "odd_name"),
        ];
        for (name, snake) in rows {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["critical", "detailed", "cosmetic", "metadata", "skip"];
        assert_eq!(nearest("critcal", &known), Some("critical"));
        assert_eq!(nearest("metdata", &known), Some("metadata"));
        assert_eq!(nearest("skp", &known), Some("skip"));
        assert_eq!(nearest("always", &known), None);
        assert_eq!(
            unknown("channel", "always", &known[..2]),
            "unknown channel `always`; there are `critical` and `detailed`"
        );
    }
}
