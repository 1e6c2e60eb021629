//! Near matches for mistyped names.

/// At most three of `candidates` that are close to `written`, closest first, then by name.
pub(crate) fn near<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let tolerance = (written.chars().count() / 3).clamp(1, 4);
    let mut close: Vec<_> = candidates
        .into_iter()
        .map(|candidate| (distance(&written.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// The number of characters to insert, delete or replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for ((to, pair), above) in b.iter().zip(row.windows(2)).zip(row.iter().skip(1)) {
            let replaced = pair.first().copied().unwrap_or(0) + usize::from(from != *to);
            let left = next.last().copied().unwrap_or(0);
            next.push(replaced.min(left + 1).min(above + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn the_closest_name_comes_first_and_strangers_are_left_out() {
        assert_eq!(near("frontnd", ["backend", "frontend", "front"]), ["frontend", "front"]);
        assert!(near("cart", ["database", "gateway"]).is_empty());
    }
}
