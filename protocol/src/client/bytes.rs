//! Numbers, texts and lists as bytes: the alphabet of the binary spelling.

use super::error::{DecodeError, Problem};

/// Reads one message from front to back; every failure names message, field and byte.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    message: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], message: &'static str) -> Self {
        Self { bytes, at: 0, message }
    }

    /// Names the message once its type is known.
    pub(super) const fn rename(&mut self, message: &'static str) {
        self.message = message;
    }

    pub(super) const fn error(&self, field: &'static str, problem: Problem) -> DecodeError {
        DecodeError { message: self.message, field, at: self.at, problem }
    }

    pub(super) const fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        if len > self.remaining() {
            return Err(self.error(field, Problem::Truncated));
        }
        let taken = &self.bytes[self.at..self.at + len];
        self.at += len;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N, field)?.try_into().expect("take returns what was asked for"))
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(self.array::<1>(field)?[0])
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u128(&mut self, field: &'static str) -> Result<u128, DecodeError> {
        Ok(u128::from_le_bytes(self.array(field)?))
    }

    pub(super) fn f32(&mut self, field: &'static str) -> Result<f32, DecodeError> {
        let value = f32::from_le_bytes(self.array(field)?);
        if value.is_finite() { Ok(value) } else { Err(self.error(field, Problem::NotFinite)) }
    }

    pub(super) fn f64(&mut self, field: &'static str) -> Result<f64, DecodeError> {
        let value = f64::from_le_bytes(self.array(field)?);
        if value.is_finite() { Ok(value) } else { Err(self.error(field, Problem::NotFinite)) }
    }

    /// LEB128 in its shortest form: a longer spelling of the same number is refused.
    pub(super) fn varint(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8(field)?;
            let bits = u64::from(byte & 0x7f);
            let overflows = shift == 63 && bits > 1;
            let padded = byte == 0 && shift > 0;
            if overflows || padded {
                self.at -= 1;
                return Err(self.error(field, Problem::Value(u64::from(byte))));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(field, Problem::Value(value)))
    }

    pub(super) fn varint32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let value = self.varint(field)?;
        u32::try_from(value).map_err(|_| self.error(field, Problem::Value(value)))
    }

    pub(super) fn zigzag32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        let value = self.varint32(field)?;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    /// A number of items or bytes, at most `max`.
    pub(super) fn count(&mut self, max: usize, field: &'static str) -> Result<usize, DecodeError> {
        let found = usize::try_from(self.varint(field)?).unwrap_or(usize::MAX);
        if found > max { Err(self.error(field, Problem::TooLong { found, max })) } else { Ok(found) }
    }

    pub(super) fn bytes(&mut self, max: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let len = self.count(max, field)?;
        self.take(len, field)
    }

    pub(super) fn text(&mut self, max: usize, field: &'static str) -> Result<String, DecodeError> {
        let at = self.at;
        let bytes = self.bytes(max, field)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(DecodeError { message: self.message, field, at, problem: Problem::Utf8 }),
        }
    }

    /// Everything that is left.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let rest = &self.bytes[self.at..];
        self.at = self.bytes.len();
        rest.to_vec()
    }

    /// Refuses bytes after the last field.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(self.error("end", Problem::Trailing(left))),
        }
    }
}

/// Appends a number as LEB128.
pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number, small ones short whatever their sign.
pub(super) fn put_zigzag(value: i32, out: &mut Vec<u8>) {
    put_varint(u64::from(((value << 1) ^ (value >> 31)) as u32), out);
}

/// Appends bytes behind their length.
pub(super) fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
