//! One JSON body.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    harness::decode_text(text);
});
