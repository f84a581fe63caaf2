//! LZW as TIFF has it: highest bit first, code length raised one code early (TIFF 6.0 section 13).
//!
//! Every string of the table is a run of bytes that was just written: the previous string and the byte after it. So
//! the table holds positions in the output, and a string is copied from there in one piece.

const CLEAR: usize = 256;
const END: usize = 257;
const FIRST_FREE: usize = 258;
const TABLE_LEN: usize = 4096;
const CODE_BITS_MIN: u32 = 9;
const CODE_BITS_MAX: u32 = 12;
/// Strings up to this length are copied as one fixed piece.
const SHORT: usize = 16;

/// A table of strings, kept from block to block to save its allocation.
#[derive(Debug)]
pub(crate) struct Lzw {
    table: Box<[Entry; TABLE_LEN]>,
}

/// A string: where it stands in the output, and its length.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    start: u32,
    len: u32,
}

struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, highest first.
    buffer: u64,
    count: u32,
}

impl BitReader<'_> {
    fn refill(&mut self) {
        if let Some(eight) = self.bytes.get(self.at..self.at + 8) {
            let word = u64::from_be_bytes(eight.try_into().expect("the slice has eight bytes"));
            self.buffer |= word >> self.count;
            self.at += ((63 - self.count) >> 3) as usize;
            self.count |= 56;
        } else {
            while self.count <= 56 && self.at < self.bytes.len() {
                self.buffer |= u64::from(self.bytes[self.at]) << (56 - self.count);
                self.at += 1;
                self.count += 8;
            }
        }
    }

    fn code(&mut self, bits: u32) -> Option<usize> {
        if self.count < bits {
            self.refill();
            if self.count < bits {
                return None;
            }
        }
        let code = (self.buffer >> (64 - bits)) as usize;
        self.buffer <<= bits;
        self.count -= bits;
        Some(code)
    }
}

impl Lzw {
    pub(crate) fn new() -> Self {
        Lzw {
            table: Box::new([Entry::default(); TABLE_LEN]),
        }
    }

    /// Decodes until `out` is full, the end code comes or the input ends; gives the bytes written.
    pub(crate) fn decode(&mut self, encoded: &[u8], out: &mut [u8]) -> Result<usize, String> {
        if matches!(encoded, [0, second, ..] if second & 1 == 1) {
            return Err("LZW of the old form, lowest bit first, is not supported".to_owned());
        }
        let mut bits = BitReader {
            bytes: encoded,
            at: 0,
            buffer: 0,
            count: 0,
        };
        let mut code_bits = CODE_BITS_MIN;
        let mut next = FIRST_FREE;
        let mut previous: Option<usize> = None;
        let mut at = 0;
        while at < out.len() {
            let Some(code) = bits.code(code_bits) else { break };
            if code == CLEAR {
                (code_bits, next, previous) = (CODE_BITS_MIN, FIRST_FREE, None);
                continue;
            }
            if code == END {
                break;
            }
            if let Some(start) = previous.filter(|_| next < TABLE_LEN) {
                self.table[next] = Entry {
                    start: start as u32,
                    len: (at - start + 1) as u32,
                };
                next += 1;
                if next + 1 == 1 << code_bits && code_bits < CODE_BITS_MAX {
                    code_bits += 1;
                }
            }
            previous = Some(at);
            if code < CLEAR {
                out[at] = code as u8;
                at += 1;
            } else if code < next {
                at += copy_string(self.table[code], out, at);
            } else {
                return Err(format!("LZW code {code} comes before its string was defined"));
            }
        }
        Ok(at)
    }
}

/// Copies a string from earlier in `out` to `at`, as much of it as fits; gives its length there.
fn copy_string(string: Entry, out: &mut [u8], at: usize) -> usize {
    let (start, len) = (string.start as usize, string.len as usize);
    let len = len.min(out.len() - at);
    if len <= SHORT && at + SHORT <= out.len() {
        // Writes over the string's end; later strings overwrite that.
        let piece: [u8; SHORT] = out[start..start + SHORT]
            .try_into()
            .expect("the slice has that length");
        out[at..at + SHORT].copy_from_slice(&piece);
    } else {
        out.copy_within(start..start + len, at);
    }
    // A string that is defined by its own use ends with the byte at `at`, which was not there before the copy.
    if start + len > at {
        out[at + len - 1] = out[start];
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packs codes as an encoder would that raises the code length with the table.
    fn pack(codes: &[usize]) -> Vec<u8> {
        let (mut bytes, mut buffer, mut count) = (Vec::new(), 0u64, 0);
        let (mut code_bits, mut table) = (9, 258);
        for &code in codes {
            buffer = (buffer << code_bits) | code as u64;
            count += code_bits;
            while count >= 8 {
                bytes.push((buffer >> (count - 8)) as u8);
                count -= 8;
            }
            table += 1;
            if code == CLEAR {
                (code_bits, table) = (9, 257);
            } else if table + 1 == 1 << code_bits && code_bits < 12 {
                code_bits += 1;
            }
        }
        bytes.push((buffer << (8 - count)) as u8);
        bytes
    }

    fn decode(codes: &[usize], len: usize) -> Result<Vec<u8>, String> {
        let mut out = vec![0; len];
        let written = Lzw::new().decode(&pack(codes), &mut out)?;
        out.truncate(written);
        Ok(out)
    }

    #[test]
    fn string_defined_by_its_own_use_is_decoded() {
        assert_eq!(decode(&[CLEAR, 7, 258, 259, END], 100).unwrap(), [7; 6]);
    }

    #[test]
    fn example_of_the_specification_is_decoded() {
        let codes = [CLEAR, 7, 258, 8, 8, 258, 6, 6, END];
        assert_eq!(decode(&codes, 100).unwrap(), [7, 7, 7, 8, 8, 7, 7, 6, 6]);
    }

    #[test]
    fn output_ends_where_the_buffer_does() {
        assert_eq!(decode(&[CLEAR, 7, 258, 259, 260, END], 5).unwrap(), [7; 5]);
    }

    #[test]
    fn long_strings_are_copied_to_the_last_byte_of_the_output() {
        // A run of one byte: each string is one longer than the one before.
        let codes: Vec<usize> = [CLEAR, 9].into_iter().chain(258..340).chain([END]).collect();
        let len: usize = (1..=83).sum();
        for room in [len, len - 1, len - 20, len + 40] {
            assert_eq!(decode(&codes, room).unwrap(), vec![9; len.min(room)], "{room}");
        }
    }

    #[test]
    fn undefined_code_is_an_error() {
        assert!(decode(&[CLEAR, 7, 300], 100).unwrap_err().contains("300"));
        assert!(decode(&[CLEAR, 258], 100).is_err());
    }
}
