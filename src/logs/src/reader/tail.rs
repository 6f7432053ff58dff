//! Where the last lines of a file begin.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 64 * 1024;

/// How far back lines are looked for. A sparse file can pretend to any size; a log file has at most the configured
/// size and is far smaller.
const MAX_SEARCH: u64 = 4 << 30;

/// Offset at which the last `lines` lines of the first `size` bytes of `file` begin. Bytes after the last newline
/// count as a line.
pub(super) fn start(file: &File, size: u64, lines: u64) -> io::Result<u64> {
    if lines == 0 {
        return Ok(size);
    }
    let mut found = 0;
    let mut right = size;
    let mut block = Vec::new();
    while right > size.saturating_sub(MAX_SEARCH) {
        let left = right.saturating_sub(BLOCK);
        block.resize(usize::try_from(right - left).unwrap_or_default(), 0);
        file.read_exact_at(&mut block, left)?;
        for (offset, _) in block.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let line = left + offset as u64 + 1;
            // The newline that ends the last line begins none.
            found += u64::from(line != size);
            if found == lines {
                return Ok(line);
            }
        }
        right = left;
    }
    Ok(right)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn tail(content: &[u8], lines: u64) -> u64 {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        start(&file, content.len() as u64, lines).unwrap()
    }

    #[test]
    fn finds_the_last_lines() {
        for (content, lines, expected) in [
            ("a\nb\nc\n", 0, 6),
            ("a\nb\nc\n", 1, 4),
            ("a\nb\nc\n", 2, 2),
            ("a\nb\nc\n", 3, 0),
            ("a\nb\nc\n", 9, 0),
            ("a\nb\nc", 1, 4),
            ("\n\n", 1, 1),
            ("", 1, 0),
        ] {
            assert_eq!(tail(content.as_bytes(), lines), expected, "{content:?} {lines}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn agrees_with_counting_forwards(lengths in prop::collection::vec(0_usize..40_000, 1..12), lines in 1_u64..14) {
            let content: Vec<u8> = lengths.iter().flat_map(|n| [vec![b'x'; *n], vec![b'\n']].concat()).collect();
            let skip = lengths.len().saturating_sub(usize::try_from(lines).unwrap());
            let expected: usize = lengths[..skip].iter().map(|n| n + 1).sum();
            prop_assert_eq!(tail(&content, lines), expected as u64);
        }
    }
}
