//! The corpus of the fuzz targets, and two hundred thousand inputs made from it.
//!
//! `cargo test -p horizon-gorc --test corpus -- --ignored` writes the part of the corpus that comes
//! from the vectors.
#![allow(clippy::unwrap_used)]

mod account;
#[path = "../fuzz/src/harness.rs"]
#[allow(dead_code, unreachable_pub)]
mod harness;

use std::fs;
use std::path::PathBuf;

use account::{VECTORS, cases, unhex};
use harness::{decode_all, decode_text, input};
use horizon_model::Tick;
use serde_json::Value;

const SEED: u64 = 0x5eed_c0de;
const ROUNDS: usize = 100_000;
/// Longest input that is made; longer ones say nothing new.
const MAX_LEN: usize = 600;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus")).join(target)
}

/// The inputs of a target, by name.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn decode_lossy(bytes: &[u8]) -> bool {
    decode_text(&String::from_utf8_lossy(bytes))
}

#[test]
fn the_corpus_is_read_without_harm() {
    let read: usize = corpus("decode").iter().map(|input| decode_all(input)).sum();
    assert!(read > 50, "only {read} bodies make sense");
    let read = corpus("decode_json").iter().filter(|text| decode_lossy(text)).count();
    assert!(read > 10, "only {read} texts make sense");
}

#[test]
fn mutants_of_the_corpus_are_read_without_harm() {
    mutate("decode", |input| decode_all(input) > 0);
    mutate("decode_json", decode_lossy);
}

/// Feeds `take` inputs that differ from those of the corpus in a few places.
fn mutate(target: &'static str, take: impl Fn(&[u8]) -> bool) {
    let (corpus, mut chance) = (corpus(target), Chance(SEED));
    let mut taken = 0;
    for round in 0..ROUNDS {
        let mut input = corpus[chance.below(corpus.len())].clone();
        for _ in 0..=chance.below(4) {
            let other = &corpus[chance.below(corpus.len())];
            chance.change(&mut input, other);
        }
        input.truncate(MAX_LEN);
        let telling = Telling { target, round, input: &input };
        taken += usize::from(take(&input));
        drop(telling);
    }
    assert!(taken > ROUNDS / 100, "{taken} of {ROUNDS} inputs of {target} make sense");
}

/// Names the input in hand if its reader panics.
struct Telling<'a> {
    target: &'static str,
    round: usize,
    input: &'a [u8],
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: String = self.input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("seed {SEED:#x}, round {} of {}: {hex}", self.round, self.target);
        }
    }
}

/// Pseudo-random numbers: xorshift64 of Marsaglia.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    /// One change as fuzzers make them.
    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len() + 1);
        let there = self.below(other.len() + 1);
        let len = 1 + self.below(12);
        let end = (at + len).min(input.len());
        let byte = [0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, self.next() as u8, self.next() as u8][self.below(10)];
        match self.below(7) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = byte,
            2 => input.insert(at, byte),
            3 => drop(input.drain(at..end)),
            4 => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            5 => drop(input.splice(at..end, other[there..(there + len).min(other.len())].iter().copied())),
            _ => drop(input.splice(at.., other[there..].iter().copied())),
        }
    }
}

#[test]
#[ignore = "writes the corpus"]
fn write_the_corpus() {
    let slug = |name: &str| {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        name.trim_matches('-').chars().take(48).collect::<String>()
    };
    let keep = |target: &str, name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(slug(name)), bytes).unwrap();
    };
    for (name, frames) in cases() {
        let bodies: Vec<_> = frames.iter().map(|(tick, binary, _)| (Tick(*tick), &binary[..])).collect();
        keep("decode", &name, &input(&bodies));
        // The four channels differ in numbers alone.
        if !name.contains("channel 1") && !name.contains("channel 2") && !name.contains("channel 3") {
            keep("decode_json", &name, frames.last().unwrap().2.as_bytes());
        }
    }
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let refused = vectors["refused"].as_array().unwrap();
    let bodies: Vec<_> = refused.iter().map(|vector| unhex(vector["binary"].as_str().unwrap())).collect();
    for (n, chunk) in bodies.chunks(17).enumerate() {
        let frames: Vec<_> = chunk.iter().map(|body| (Tick(600), &body[..])).collect();
        keep("decode", &format!("refused {n}"), &input(&frames));
    }
    for vector in &vectors["refused_json"].as_array().unwrap()[..6] {
        let name = format!("refused {}", vector["name"].as_str().unwrap());
        keep("decode_json", &name, vector["text"].as_str().unwrap().as_bytes());
    }
}
