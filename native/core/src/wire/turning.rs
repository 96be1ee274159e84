//! Turns the addresses of a kept answer, so that they take turns at the front: most clients take the first.
//!
//! Knows: which records may change places in a body as it is.  Does not know: for whom, whether it is wanted.
//! Theory: the records of an RRset of addresses have the same size and, but for their RDATA, the same octets,
//! so turning them moves octets and changes no offset.  How far they turn follows from the query's ID, which
//! clients choose by chance (Unbound does so too): no state to keep, and the same octets get the same answer.

use super::numbers::{TYPE_A, TYPE_AAAA, TYPE_RRSIG};
use super::outcomes::Response;

/// Orders that one answer is given in; with more records than this it turns by several at once.
pub const TURNS_MAX: usize = 8;
/// Octets of a record whose owner is a pointer, before its RDATA.
const POINTED_OCTETS: usize = 12;
/// Octets from such a record's start to its TTL.
const TTL_AT: usize = 6;

/// Which octets of a message turn; none of them where `count` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turning {
    /// Where the first record stands.
    pub start: u16,
    /// Records, at least 2.
    pub count: u16,
    /// Octets of one record.
    pub step: u8,
}

impl Turning {
    /// The addresses of an answer that may take turns, in its body; `None`: there are none, or in no such row.
    #[inline]
    pub fn of(response: &Response) -> Option<Turning> {
        if response.addresses.len() < 2 {
            return None;
        }
        Turning::of_many(response)
    }

    fn of_many(response: &Response) -> Option<Turning> {
        let count = response.addresses.len();
        let (first, start) =
            response.links.last().map_or((0, 0), |link| (usize::from(link.ancount), usize::from(link.end)));
        let body = &response.body;
        let row = response.ttls.get(first..first + count)?;
        let head = body.get(start..start + POINTED_OCTETS)?;
        let (owner, rtype) = ([head[0], head[1]], u16::from_be_bytes([head[2], head[3]]));
        let step = match rtype {
            TYPE_A => POINTED_OCTETS + 4,
            TYPE_AAAA => POINTED_OCTETS + 16,
            _ => return None,
        };
        if first + count > usize::from(response.ancount) || response.nscount != 0 {
            return None;
        }
        let mut end = start;
        for ttl in row {
            // An owner of two octets, a pointer, so that no name begins here; all to the same place before.
            if usize::from(ttl.offset) != end + TTL_AT || body.get(end..end + 2)? != owner {
                return None;
            }
            end += step;
        }
        let turning = Turning {
            start: u16::try_from(start).ok()?,
            count: u16::try_from(count).ok()?,
            step: step as u8,
        };
        for ttl in response.ttls.get(first + count..)? {
            // Behind them only signatures over them, whose owners point to that place as well.
            let [one, two] = TYPE_RRSIG.to_be_bytes();
            let at = usize::from(ttl.offset);
            if at != end + TTL_AT || body.get(end..end + 4)? != [owner[0], owner[1], one, two] {
                return None;
            }
            let rdlength = body.get(at + 4..at + 6)?;
            end = at + 6 + usize::from(u16::from_be_bytes([rdlength[0], rdlength[1]]));
        }
        Some(turning)
    }

    /// The same in a message that has the body at `body_start`.
    #[must_use]
    pub fn at(self, body_start: usize) -> Turning {
        Turning { start: self.start.saturating_add(body_start as u16), ..self }
    }

    /// Where the octets that turn begin, where those begin that come to the front for `number` (of the query's ID),
    /// and where they end.
    #[inline]
    pub fn places(self, number: u8) -> (usize, usize, usize) {
        let (start, count, step) = (usize::from(self.start), usize::from(self.count), usize::from(self.step));
        let turns = count.clamp(1, TURNS_MAX);
        (start, start + usize::from(number) % turns * count / turns * step, start + count * step)
    }

    /// Turn a message whose records stand as they are kept.
    #[inline]
    pub fn turn(self, message: &mut [u8], number: u8) {
        let (start, front, end) = self.places(number);
        if let Some(row) = message.get_mut(start..end) {
            row.rotate_left(front - start);
        }
    }

    /// Turn a message back to how its records are kept.
    pub fn turn_back(self, message: &mut [u8], number: u8) {
        let (start, front, end) = self.places(number);
        if let Some(row) = message.get_mut(start..end) {
            row.rotate_right(front - start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_and_turned_back_a_message_is_as_it_was() {
        for (count, step) in [(2, 16), (3, 28), (8, 16), (17, 16)] {
            let turning = Turning { start: 3, count, step };
            let message: Vec<u8> =
                (0..=255).cycle().take(5 + usize::from(count) * usize::from(step)).collect();
            for number in 0..=255 {
                let mut turned = message.clone();
                turning.turn(&mut turned, number);
                let (start, front, end) = turning.places(number);
                assert_eq!(
                    turned[start..start + usize::from(step)],
                    message[front..front + usize::from(step)]
                );
                assert_eq!((&turned[..3], &turned[end..]), (&message[..3], &message[end..]));
                turning.turn_back(&mut turned, number);
                assert_eq!(turned, message);
            }
        }
    }

    #[test]
    fn a_message_shorter_than_its_row_is_left_alone() {
        let mut message = [1, 2, 3];
        Turning { start: 0, count: 2, step: 16 }.turn(&mut message, 1);
        Turning::default().turn(&mut message, 1);
        assert_eq!(message, [1, 2, 3]);
    }
}
