//! One DNS query as an HTTP/2 request, and where its answer ends (RFC 8484, RFC 9113).
//!
//! Knows: four kinds of frame, header fields written literally.  Does not know: sockets, flow control.
//! Theory: a request of one stream and an answer that fits the first window need no more than this.

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const FRAME_HEAD_OCTETS: usize = 9;

/// What a client says first, and one POST of `message` on stream 1.
pub fn first_request(message: &[u8]) -> Vec<u8> {
    let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut octets, SETTINGS, 0, 0, &[]);
    // Room for all answers of a run, so that nobody waits for this client to make more.
    frame(&mut octets, WINDOW_UPDATE, 0, 0, &0x7FFF_0000u32.to_be_bytes());
    request(&mut octets, 1, message);
    octets
}

/// One POST of `message` on `stream`.
pub fn request(octets: &mut Vec<u8>, stream: u32, message: &[u8]) {
    // RFC 7541 §6.1 and §6.2: `:method` POST, `:scheme` https, then fields by the static table's names.
    let mut fields = vec![0x83, 0x87];
    field(&mut fields, &[0x04], b"/dns-query");
    field(&mut fields, &[0x01], b"localhost");
    field(&mut fields, &[0x0f, 0x10], b"application/dns-message");
    field(&mut fields, &[0x0f, 0x0d], message.len().to_string().as_bytes());
    frame(octets, HEADERS, END_HEADERS, stream, &fields);
    frame(octets, DATA, END_STREAM, stream, message);
}

/// That the server's settings are agreed to, as every client says sooner or later (RFC 9113 §6.5.3).
pub fn agreement() -> Vec<u8> {
    let mut octets = Vec::new();
    frame(&mut octets, SETTINGS, ACK, 0, &[]);
    octets
}

/// How many answers end in `octets`, and how many octets their whole frames take.
pub fn answers_in(octets: &[u8]) -> (usize, usize) {
    let (mut at, mut answers) = (0, 0);
    while let Some(head) = octets.get(at..at + FRAME_HEAD_OCTETS) {
        let end = at + FRAME_HEAD_OCTETS + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if octets.len() < end {
            break;
        }
        answers += usize::from(head[3] == DATA && head[4] & END_STREAM != 0);
        at = end;
    }
    (answers, at)
}

/// Whether settings to agree to are among the whole frames in `octets`.
pub fn has_settings(octets: &[u8]) -> bool {
    let mut at = 0;
    while let Some(head) = octets.get(at..at + FRAME_HEAD_OCTETS) {
        at += FRAME_HEAD_OCTETS + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if octets.len() >= at && head[3] == SETTINGS && head[4] & ACK == 0 {
            return true;
        }
    }
    false
}

fn field(fields: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    fields.extend_from_slice(name);
    fields.push(value.len() as u8);
    fields.extend_from_slice(value);
}

fn frame(octets: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    octets.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    octets.extend_from_slice(&[kind, flags]);
    octets.extend_from_slice(&stream.to_be_bytes());
    octets.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::{answers_in, frame, DATA, END_STREAM, HEADERS};

    #[test]
    fn an_answer_ends_with_its_last_data_frame() {
        let mut octets = Vec::new();
        frame(&mut octets, HEADERS, 4, 1, b"fields");
        frame(&mut octets, DATA, 0, 1, b"part");
        assert_eq!(answers_in(&octets), (0, octets.len()));
        let before = octets.len();
        frame(&mut octets, DATA, END_STREAM, 1, b"rest");
        assert_eq!(answers_in(&octets), (1, octets.len()));
        assert_eq!(answers_in(&octets[..octets.len() - 1]), (0, before));
    }
}
