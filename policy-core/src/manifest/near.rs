//! The nearest word of a list: what somebody probably meant to write.

/// The candidate nearest to `written`, if one is near enough to be what was meant.
#[must_use]
pub fn nearest<'c>(written: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let folded: Vec<char> = written.chars().take(64).flat_map(char::to_lowercase).collect();
    let limit = if folded.len() < 4 { 1 } else { folded.len() / 4 + 1 };
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other: Vec<char> = candidate.chars().take(64).flat_map(char::to_lowercase).collect();
            let distance = distance(&folded, &other);
            (distance <= limit && distance < other.len()).then_some((distance, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance with transpositions of neighbours.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, &from) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, &to) in right.iter().enumerate() {
            let cell = |cells: &[usize], at: usize| cells.get(at).copied().unwrap_or(usize::MAX / 2);
            let replaced = cell(&above, column) + usize::from(from != to);
            let mut best = replaced.min(cell(&above, column + 1) + 1).min(cell(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && left.get(row - 1) == Some(&to)
                && right.get(column - 1) == Some(&from)
                && from != to;
            if swapped {
                best = best.min(cell(&before, column - 1) + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_slips_find_their_word() {
        let fields = ["podSelector", "namespaceSelector", "ipBlock", "hostNetwork", "ports"];
        for (written, meant) in [
            ("podSelectr", "podSelector"),
            ("podselector", "podSelector"),
            ("hostNotwork", "hostNetwork"),
            ("ipblok", "ipBlock"),
            ("prots", "ports"),
            ("port", "ports"),
        ] {
            assert_eq!(nearest(written, fields), Some(meant));
        }
    }

    #[test]
    fn other_words_find_nothing() {
        assert_eq!(nearest("containers", ["ipBlock", "from"]), None);
        assert_eq!(nearest("x", ["a"]), None);
        assert_eq!(nearest("", ["a"]), None);
    }
}
