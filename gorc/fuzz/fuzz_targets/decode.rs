//! Binary bodies of one receiver, one after the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    harness::decode_all(input);
});
