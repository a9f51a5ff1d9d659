//! What `vectors.json` says is what is read: the binary of each frame and its JSON are the same
//! account, and what must be refused is refused where and why it says. `src/wire/tests/vectors.rs`
//! holds the other half: that this build writes these bytes.
#![allow(clippy::unwrap_used)]

mod account;

use account::{VECTORS, cases, hear, hear_json, unhex};
use gorc::{Curve, Decoder};
use horizon_model::Tick;
use serde_json::Value;

fn list(key: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    vectors[key].as_array().unwrap().clone()
}

#[test]
fn both_spellings_are_the_same_account() {
    for (name, frames) in cases() {
        let mut decoder = Decoder::new();
        for (tick, binary, said) in frames {
            let (told, result) = hear(&mut decoder, &binary, tick);
            assert_eq!(result, Ok(()), "{name}");
            assert_eq!((told, Ok(())), hear_json(&said, tick), "{name}");
        }
    }
    for case in list("bodies") {
        let mut decoder = Decoder::new();
        for frame in case["frames"].as_array().unwrap() {
            let body = unhex(frame["binary"].as_str().unwrap());
            hear(&mut decoder, &body, frame["tick"].as_u64().unwrap()).1.unwrap();
        }
        assert_eq!(case["strays"], decoder.strays(), "{}", case["name"]);
    }
}

#[test]
fn what_must_be_refused_is() {
    for vector in list("refused") {
        let body = unhex(vector["binary"].as_str().unwrap());
        let error = hear(&mut Decoder::new(), &body, vector["tick"].as_u64().unwrap()).1.unwrap_err();
        let expected = format!("{} {{ at: {} }}", vector["error"].as_str().unwrap(), vector["at"]);
        assert_eq!(format!("{error:?}"), expected, "{}", vector["name"]);
    }
    for vector in list("refused_json") {
        let (_, result) = hear_json(vector["text"].as_str().unwrap(), vector["tick"].as_u64().unwrap());
        assert!(result.is_err(), "{}", vector["name"]);
    }
}

/// Cut anywhere, a body is refused or says a part of the same account: nothing else.
#[test]
fn a_part_of_a_body_says_a_part_of_the_account() {
    for (name, frames) in cases() {
        let mut decoder = Decoder::new();
        for (tick, binary, _) in frames {
            let before = decoder.clone();
            let (told, _) = hear(&mut decoder, &binary, tick);
            for len in 0..binary.len() {
                let (part, _) = hear(&mut before.clone(), &binary[..len], tick);
                assert!(told.starts_with(&part), "{name} of {len} bytes");
            }
        }
    }
}

#[test]
fn curves_are_drawn_as_told() {
    let three = |value: &Value| [0, 1, 2].map(|n| value[n].as_f64().unwrap());
    for vector in list("curves") {
        let enter = &vector["enter"];
        let yaw = enter["yaw"].as_f64().unwrap() as f32;
        let tick = |value: &Value| Tick(value.as_u64().unwrap());
        let mut curve = Curve::new(tick(&enter["tick"]), three(&enter["at"]), three(&enter["v"]), yaw);
        for knot in vector["knots"].as_array().unwrap() {
            let (at, v, snap) = (three(&knot["at"]), three(&knot["v"]), knot["snap"].as_bool().unwrap());
            let (delay, yaw) = (knot["delay"].as_u64().unwrap(), knot["yaw"].as_f64().map(|yaw| yaw as f32));
            curve.push(tick(&knot["frame"]), delay, tick(&knot["tick"]), at, v, yaw, snap);
        }
        for row in vector["drawn"].as_array().unwrap() {
            let (metres, yaw) = curve.at(row[0].as_f64().unwrap());
            for (n, axis) in metres.into_iter().chain([f64::from(yaw)]).enumerate() {
                let told = row[n + 1].as_f64().unwrap();
                assert!((axis - told).abs() < 1e-4, "{}: {row}, not {metres:?} {yaw}", vector["name"]);
            }
        }
    }
}
