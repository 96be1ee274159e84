//! One batch of messages that came over streams: judged together, answered connection by connection.
//!
//! Knows: which octets are whose, how much one connection may have answered at once.  Does not know: sockets, TLS.
//! Theory: what connections sent stands side by side in one room, and so do their answers; what one connection gets
//! is one piece of it, which leaves in one write.  A connection that may have no more (too many of its questions
//! wait, its answers are long) has the rest of its messages left as they are.

use std::cell::Cell;
use std::net::IpAddr;

use arrayvec::ArrayVec;
use resolver_core::flow::{ClientName, Incoming, Outcome, ReplySink, Transport};
use resolver_core::wire::frames::{first_frame, length_in_front, Frame, FRAME_HEAD_OCTETS};

use crate::slab::Handle;

/// Messages of one batch.
pub const MESSAGES_MAX: usize = 256;
/// Octets of answers of one connection in one batch, after which the rest of its messages wait.
const TURN_OCTETS_MAX: usize = 65_536;
/// Octets of a batch, after which it is judged.
const FULL_OCTETS: usize = 65_536;
/// Octets that one connection may bring at most: a message that was nearly whole, and what a session gives out at
/// once (what it had of a record, and one read).
pub const BROUGHT_OCTETS_MAX: usize = 65_537 + 4 * 16_384;

/// What one connection brings to a batch.
pub struct Group {
    /// The connection.
    pub handle: Handle,
    address: IpAddr,
    name: Option<ClientName>,
    transport: Transport,
    /// Its octets in `octets`.
    start: usize,
    end: usize,
    /// Where its messages in this batch end.
    taken_to: usize,
    messages: usize,
    /// Its answers.
    answers: Cell<(usize, usize)>,
    open: Cell<usize>,
    open_max: usize,
    lent: Cell<usize>,
    lent_max: usize,
    /// Where its messages begin that are left alone.
    left_from: Cell<Option<usize>>,
    /// Whether the connection must go.
    pub must_close: Cell<bool>,
    /// Whether a message was too short.
    pub is_too_short: bool,
}

struct Message {
    group: usize,
    start: usize,
    end: usize,
}

/// A batch, and its rooms; they are used again.
pub struct Batch {
    octets: Box<[u8]>,
    filled: usize,
    groups: Vec<Group>,
    messages: Vec<Message>,
    answers: Vec<u8>,
    room: Vec<u8>,
}

impl Batch {
    /// Some 200 KB.
    pub fn new() -> Batch {
        Batch {
            octets: vec![0; FULL_OCTETS + BROUGHT_OCTETS_MAX].into_boxed_slice(),
            filled: 0,
            groups: Vec::new(),
            messages: Vec::with_capacity(MESSAGES_MAX),
            answers: Vec::new(),
            room: Vec::new(),
        }
    }

    /// Whether it is to be judged before another connection brings something.
    pub fn is_full(&self) -> bool {
        self.filled > FULL_OCTETS || self.messages.len() == MESSAGES_MAX
    }

    /// Whether nobody has brought anything.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Begin with a connection: `unread` is what it brought before and was not answered.
    ///
    /// `client`: its address, and the name it gave itself.
    pub fn begin(
        &mut self,
        handle: Handle,
        client: (IpAddr, Option<ClientName>),
        transport: Transport,
        unread: &[u8],
    ) {
        let (address, name) = client;
        let start = self.filled;
        self.groups.push(Group {
            handle,
            address,
            name,
            transport,
            start,
            end: start,
            taken_to: start,
            messages: 0,
            answers: Cell::new((0, 0)),
            open: Cell::new(0),
            open_max: 0,
            lent: Cell::new(0),
            lent_max: 0,
            left_from: Cell::new(None),
            must_close: Cell::new(false),
            is_too_short: false,
        });
        self.add(unread);
    }

    /// The client of the connection begun last has given itself this name just now.
    pub fn call(&mut self, name: Option<ClientName>) {
        if let Some(group) = self.groups.last_mut() {
            group.name = name;
        }
    }

    /// More of the connection begun last; what is beyond BROUGHT_OCTETS_MAX is lost, which its callers see to.
    pub fn add(&mut self, octets: &[u8]) {
        debug_assert!(self.filled + octets.len() <= self.octets.len());
        let room = &mut self.octets[self.filled..];
        let count = octets.len().min(room.len());
        room[..count].copy_from_slice(&octets[..count]);
        self.filled += count;
    }

    /// Room for more of it; say with `added` how much was put there.
    pub fn room(&mut self, octets: usize) -> &mut [u8] {
        let end = self.octets.len().min(self.filled + octets);
        &mut self.octets[self.filled..end]
    }

    /// So many octets were put into `room`.
    pub fn added(&mut self, octets: usize) {
        self.filled += octets;
    }

    /// Find the messages of the connection begun last: as many as this batch has room for.
    ///
    /// `open_max`, `lent_max`: how many more of its questions may wait, and octets of them.  True: one is too short,
    /// and nothing behind it is to be believed.
    pub fn cut(&mut self, open_max: usize, lent_max: usize) -> bool {
        let number = self.groups.len() - 1;
        let Some(group) = self.groups.last_mut() else { return false };
        (group.open_max, group.lent_max) = (open_max, lent_max);
        let mut at = group.start;
        while self.messages.len() < MESSAGES_MAX {
            match first_frame(&self.octets[at..self.filled]) {
                Frame::Message(message) => {
                    let start = at + FRAME_HEAD_OCTETS;
                    at = start + message.len();
                    self.messages.push(Message { group: number, start, end: at });
                    group.messages += 1;
                }
                Frame::Part => break,
                Frame::TooShort => {
                    group.is_too_short = true;
                    self.filled = at;
                    break;
                }
            }
        }
        group.taken_to = at;
        group.end = self.filled;
        group.is_too_short
    }

    /// Whether there are messages to judge.
    pub fn has_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// The messages, and where their answers are laid.
    pub fn halves(&mut self) -> (ArrayVec<Incoming<'_>, MESSAGES_MAX>, Answers<'_>) {
        let Batch { octets, groups, messages, answers, room, .. } = self;
        let incoming = |message: &Message| {
            let Group { address, transport, .. } = groups[message.group];
            Incoming { octets: &octets[message.start..message.end], address, transport }
        };
        (messages.iter().map(incoming).collect(), Answers { groups, messages, answers, room })
    }

    /// Python is to answer every message, as many of each connection as may wait.
    pub fn punt_all(&mut self, rest: &mut Vec<(usize, bool)>) {
        let (queries, mut answers) = self.halves();
        let count = queries.len();
        drop(queries);
        let outcomes = answers.outcomes();
        for number in 0..count {
            if !answers.must_skip(number) && outcomes.note(number, Outcome::Punt) {
                rest.push((number, true));
            }
        }
    }

    /// The groups, for who looks at each.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// A connection's answers, as they go.
    pub fn answers(&self, group: &Group) -> &[u8] {
        let (start, end) = group.answers.get();
        &self.answers[start..end]
    }

    /// What a connection brought and was not answered.
    pub fn left(&self, group: &Group) -> &[u8] {
        &self.octets[group.left_from.get().unwrap_or(group.taken_to)..group.end]
    }

    /// Message number `index`, whose it is, and over what.
    pub fn message(&self, index: usize) -> (&[u8], &Group) {
        let Message { group, start, end } = self.messages[index];
        (&self.octets[start..end], &self.groups[group])
    }

    /// Forget everything; a room that grew far is given back.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.groups.clear();
        self.messages.clear();
        self.answers.clear();
        self.answers.shrink_to(4 * TURN_OCTETS_MAX);
    }
}

impl Group {
    /// The client's address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The name that it gave itself.
    pub fn name(&self) -> Option<ClientName> {
        self.name
    }

    /// The connection's transport.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Whether several messages of it came at once, over TLS.
    pub fn is_pipelining(&self) -> bool {
        self.messages > 1 && self.transport == Transport::Tls
    }

    /// Whether any message of it was taken.
    pub fn has_messages(&self) -> bool {
        self.messages > 0
    }
}

/// Where answers are laid, connection by connection.
pub struct Answers<'b> {
    groups: &'b [Group],
    messages: &'b [Message],
    answers: &'b mut Vec<u8>,
    room: &'b mut Vec<u8>,
}

/// What `Answers` keeps of messages that it did not answer.
pub struct Outcomes<'b> {
    groups: &'b [Group],
    messages: &'b [Message],
}

impl<'b> Answers<'b> {
    /// Who hears of the messages that get no answer here.
    pub fn outcomes(&self) -> Outcomes<'b> {
        Outcomes { groups: self.groups, messages: self.messages }
    }
}

impl Outcomes<'_> {
    /// Message number `index` got no answer; whether somebody has to be asked.
    pub fn note(&self, index: usize, outcome: Outcome) -> bool {
        let message = &self.messages[index];
        let group = &self.groups[message.group];
        match outcome {
            Outcome::Ask | Outcome::Punt => {
                group.open.set(group.open.get() + 1);
                group.lent.set(group.lent.get() + message.end - message.start);
                true
            }
            Outcome::Drop { close } => {
                group.must_close.set(group.must_close.get() | close);
                false
            }
            Outcome::Respond => false,
        }
    }
}

impl ReplySink for Answers<'_> {
    #[inline]
    fn room(&mut self) -> &mut Vec<u8> {
        self.room
    }

    #[inline]
    fn put(&mut self, index: usize) {
        // No encoder makes a longer one than a stream carries.
        let Some(length) = length_in_front(self.room) else { return };
        let group = &self.groups[self.messages[index].group];
        let (mut start, end) = group.answers.get();
        if start == end {
            start = self.answers.len();
        }
        self.answers.extend_from_slice(&length);
        self.answers.extend_from_slice(self.room);
        group.answers.set((start, self.answers.len()));
    }

    #[inline]
    fn name_of(&self, index: usize) -> Option<ClientName> {
        self.groups[self.messages[index].group].name
    }

    #[inline]
    fn must_skip(&mut self, index: usize) -> bool {
        let message = &self.messages[index];
        let group = &self.groups[message.group];
        let (start, end) = group.answers.get();
        let may_go_on = group.left_from.get().is_none()
            && !group.must_close.get()
            && end - start < TURN_OCTETS_MAX
            && group.open.get() < group.open_max
            && group.lent.get() < group.lent_max;
        if !may_go_on && group.left_from.get().is_none() {
            group.left_from.set(Some(message.start - FRAME_HEAD_OCTETS));
        }
        !may_go_on
    }
}
