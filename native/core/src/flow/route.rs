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
    /// Over a stream that another holds.  The server's threads have no streams, and so never make one; `Steps` and
    /// tests, which have no sockets, know their clients by it.
    Stream {
        /// The number by which its holder knows it.
        connection: u64,
    },
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

    /// As octets that only `from_octets` reads: thread, lengths, name, control.
    pub fn to_octets(&self) -> Vec<u8> {
        let name = &self.name[..usize::from(self.name_octets)];
        let control = &self.control[..usize::from(self.control_octets)];
        let [low, high] = self.thread.to_le_bytes();
        [&[low, high, self.name_octets, self.control_octets], name, control].concat()
    }

    /// What `to_octets` made octets of; None: these are others.
    pub fn from_octets(octets: &[u8]) -> Option<DatagramRoute> {
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

    #[test]
    fn a_route_comes_back_as_it_went() {
        for (name, control) in [(&[7; 16][..], &[9; 32][..]), (&[7; 28], &[9; 40]), (&[7; 28], &[])] {
            let mut route = DatagramRoute::new(515, name, control);
            let octets = route.to_octets();
            assert_eq!(DatagramRoute::from_octets(&octets), Some(route));
            assert_eq!(route.parts_mut(), (&mut name.to_vec()[..], &mut control.to_vec()[..]));
            assert_eq!(DatagramRoute::from_octets(&octets[..octets.len() - 1]), None);
            assert_eq!(DatagramRoute::from_octets(&[&octets[..], &[0]].concat()), None);
        }
    }

    #[test]
    fn octets_of_something_else_are_no_route() {
        assert_eq!(DatagramRoute::from_octets(&[0, 0, 29, 0]), None);
        assert_eq!(DatagramRoute::from_octets(&[[0, 0, 29, 0].as_slice(), &[0; 29]].concat()), None);
        assert_eq!(DatagramRoute::from_octets(&[[0, 0, 0, 41].as_slice(), &[0; 41]].concat()), None);
        assert_eq!(DatagramRoute::from_octets(&[0; 3]), None);
    }
}
