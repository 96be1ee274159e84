//! The way back to a client: made where its query came in, carried by the flow, read where its answer leaves.
//!
//! Knows: what a way back consists of, and how one is written as octets for whoever only carries it.  Does not
//! know: sockets, who asks, what is asked.  `flow/route.py` has the ways back that Python makes.

/// Octets of a `sockaddr`: `sockaddr_in6` is the longest.
pub const SOCKET_NAME_OCTETS: usize = 28;
/// Octets of control message kept with a query: one `IPV6_PKTINFO`.
pub const CONTROL_OCTETS: usize = 40;

/// The way back to one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// From one of the plane's own sockets.
    Datagram(DatagramRoute),
    /// Over a stream that one of the plane's threads holds.
    Stream(StreamRoute),
}

impl Route {
    /// As octets that only `from_octets` reads; the first says which kind it is.
    pub fn to_octets(&self) -> Vec<u8> {
        match self {
            Route::Datagram(route) => [&[DATAGRAM][..], &route.to_octets()].concat(),
            Route::Stream(route) => [&[STREAM][..], &route.to_octets()].concat(),
        }
    }

    /// What `to_octets` made octets of; None: these are others.
    pub fn from_octets(octets: &[u8]) -> Option<Route> {
        match octets.split_first()? {
            (&DATAGRAM, rest) => DatagramRoute::from_octets(rest).map(Route::Datagram),
            (&STREAM, rest) => StreamRoute::from_octets(rest).map(Route::Stream),
            _ => None,
        }
    }
}

/// The first octet of each kind.
const DATAGRAM: u8 = 0;
const STREAM: u8 = 1;

/// The way back over a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamRoute {
    /// The thread that holds the connection, among those that hold streams.
    pub thread: u16,
    /// The connection's place with it.
    pub connection: u32,
    /// Which of the connections that have had this place.
    pub generation: u32,
    /// The query's number on its connection; over HTTP it has one for each request.
    pub request: u32,
}

/// Octets of a `StreamRoute`.
const STREAM_ROUTE_OCTETS: usize = 14;

impl StreamRoute {
    /// A way back that is no more than a number, for who holds no streams: `Steps`, and tests.
    pub fn numbered(number: u64) -> StreamRoute {
        StreamRoute { thread: 0, connection: number as u32, generation: (number >> 32) as u32, request: 0 }
    }

    /// The number that `numbered` was given.
    pub fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.connection)
    }

    fn to_octets(self) -> [u8; STREAM_ROUTE_OCTETS] {
        let mut octets = [0; STREAM_ROUTE_OCTETS];
        octets[..2].copy_from_slice(&self.thread.to_le_bytes());
        octets[2..6].copy_from_slice(&self.connection.to_le_bytes());
        octets[6..10].copy_from_slice(&self.generation.to_le_bytes());
        octets[10..].copy_from_slice(&self.request.to_le_bytes());
        octets
    }

    fn from_octets(octets: &[u8]) -> Option<StreamRoute> {
        let octets: &[u8; STREAM_ROUTE_OCTETS] = octets.try_into().ok()?;
        let number =
            |at: usize| u32::from_le_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        let thread = u16::from_le_bytes([octets[0], octets[1]]);
        Some(StreamRoute { thread, connection: number(2), generation: number(6), request: number(10) })
    }
}

/// The way back from a datagram socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DatagramRoute {
    /// The thread whose socket the query came in on.
    pub thread: u16,
    name_octets: u8,
    control_octets: u8,
    name: [u8; SOCKET_NAME_OCTETS],
    control: [u8; CONTROL_OCTETS],
}

impl DatagramRoute {
    /// From the socket of `thread` to `name`, a `sockaddr`, by the local address in `control`; both as the kernel
    /// spells them.  What is longer than the kernel makes them is cut.
    pub fn new(thread: u16, name: &[u8], control: &[u8]) -> DatagramRoute {
        let name = &name[..name.len().min(SOCKET_NAME_OCTETS)];
        let control = &control[..control.len().min(CONTROL_OCTETS)];
        let mut route = DatagramRoute {
            thread,
            name_octets: name.len() as u8,
            control_octets: control.len() as u8,
            name: [0; SOCKET_NAME_OCTETS],
            control: [0; CONTROL_OCTETS],
        };
        route.name[..name.len()].copy_from_slice(name);
        route.control[..control.len()].copy_from_slice(control);
        route
    }

    /// The client's `sockaddr`, and the control message to send with the answer; mutable, as the kernel wants them.
    pub fn parts_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let name = &mut self.name[..usize::from(self.name_octets)];
        (name, &mut self.control[..usize::from(self.control_octets)])
    }

    /// Thread, lengths, name, control.
    fn to_octets(&self) -> Vec<u8> {
        let name = &self.name[..usize::from(self.name_octets)];
        let control = &self.control[..usize::from(self.control_octets)];
        let [low, high] = self.thread.to_le_bytes();
        [&[low, high, self.name_octets, self.control_octets], name, control].concat()
    }

    fn from_octets(octets: &[u8]) -> Option<DatagramRoute> {
        let &[low, high, name_octets, control_octets, ref rest @ ..] = octets else { return None };
        let (name_octets, control_octets) = (usize::from(name_octets), usize::from(control_octets));
        let is_whole = name_octets <= SOCKET_NAME_OCTETS
            && control_octets <= CONTROL_OCTETS
            && rest.len() == name_octets + control_octets;
        let (name, control) = rest.split_at_checked(name_octets)?;
        is_whole.then(|| DatagramRoute::new(u16::from_le_bytes([low, high]), name, control))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_back(route: Route) {
        let octets = route.to_octets();
        assert_eq!(Route::from_octets(&octets), Some(route));
        assert_eq!(Route::from_octets(&octets[..octets.len() - 1]), None);
        assert_eq!(Route::from_octets(&[&octets[..], &[0]].concat()), None);
    }

    #[test]
    fn a_route_comes_back_as_it_went() {
        for (name, control) in [(&[7; 16][..], &[9; 32][..]), (&[7; 28], &[9; 40]), (&[7; 28], &[])] {
            let mut route = DatagramRoute::new(515, name, control);
            comes_back(Route::Datagram(route));
            assert_eq!(route.parts_mut(), (&mut name.to_vec()[..], &mut control.to_vec()[..]));
        }
        comes_back(Route::Stream(StreamRoute {
            thread: 515,
            connection: 70_000,
            generation: 7,
            request: u32::MAX,
        }));
    }

    #[test]
    fn octets_of_something_else_are_no_route() {
        assert_eq!(Route::from_octets(&[0, 0, 0, 29, 0]), None);
        assert_eq!(Route::from_octets(&[[0, 0, 0, 29, 0].as_slice(), &[0; 29]].concat()), None);
        assert_eq!(Route::from_octets(&[[0, 0, 0, 0, 41].as_slice(), &[0; 41]].concat()), None);
        assert_eq!(Route::from_octets(&[0; 4]), None);
        assert_eq!(Route::from_octets(&[2; 15]), None);
        assert_eq!(Route::from_octets(&[]), None);
    }
}
