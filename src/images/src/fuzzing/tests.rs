//! A short run, the same each time. The long one is `./just fuzz`.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{TARGETS, archive, documents, layers, seeds, wasm};

/// Inputs of each target. Unpacking syncs a file system each time.
const RUNS: [(&str, u64); 4] = [("documents", 4000), ("layers", 60), ("archive", 60), ("wasm", 2000)];
/// Where disks are slow a shorter run has to do.
const ENOUGH: Duration = Duration::from_secs(1);

/// Xorshift: random enough, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides.max(1)).unwrap()).unwrap()
    }

    /// One change as fuzzers make them.
    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let (at, byte) = (self.roll(input.len() + 1), u8::try_from(self.roll(256)).unwrap());
        let end = (at + self.roll(32)).min(input.len());
        match self.roll(6) {
            0 => input.insert(at, byte),
            1 => drop(input.drain(at..end)),
            2 => input.extend_from_within(at..end),
            3 => input.truncate(at),
            4 => input.splice(at..end, other[self.roll(other.len())..].iter().copied().take(64)).for_each(drop),
            _ => input.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
        }
    }
}

#[test]
fn mutated_seeds_keep_every_promise() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for ((name, target), (_, runs)) in TARGETS.into_iter().zip(RUNS) {
        let (seeds, began, mut dice) = (seeds(name, &golden), Instant::now(), Dice(0x5eed));
        assert!(!seeds.is_empty(), "{name}");
        seeds.iter().for_each(|seed| target(seed));
        for _ in 0..runs {
            let mut input = seeds[dice.roll(seeds.len())].clone();
            for _ in 0..=dice.roll(4) {
                let other = &seeds[dice.roll(seeds.len())];
                dice.mutate(&mut input, other);
            }
            target(&input);
            if began.elapsed() > ENOUGH {
                break;
            }
        }
    }
}

#[test]
fn every_target_is_run() {
    let names = |(name, _): (&'static str, _)| name;
    assert_eq!(TARGETS.map(names), RUNS.map(|(name, _)| name));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bytes_keep_every_promise(input in proptest::collection::vec(any::<u8>(), 0..600)) {
        documents(&input);
        layers(&input);
        archive(&input);
        wasm(&input);
    }
}
