//! Things with numbers: a number is used again, but never for a thing of another time.
//!
//! Knows: places and how often each was filled.  Does not know: what is kept.

/// Where a thing is kept: its place and the time it was put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    place: u32,
    time: u32,
}

impl Handle {
    /// As one number.
    pub fn to_bits(self) -> u64 {
        u64::from(self.time) << 32 | u64::from(self.place)
    }

    /// The handle that `to_bits` made a number of.
    pub fn from_bits(bits: u64) -> Handle {
        Handle { place: bits as u32, time: (bits >> 32) as u32 }
    }
}

/// On a line of the CPU's cache of its own: what lies side by side is looked at at different times.
#[repr(align(64))]
struct Place<T> {
    time: u32,
    kept: Option<T>,
}

/// Keeps things by handle.
pub struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

/// Times wrap here, so that a handle's number fits in 48 bits with room for a worker's.
const TIMES: u32 = 1 << 16;

impl<T> Slab<T> {
    /// Nothing kept.
    pub fn new() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }

    /// How many things are kept.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The handle that what is put next will have.
    pub fn next_handle(&self) -> Handle {
        match self.free.last() {
            Some(&place) => Handle { place, time: self.places[place as usize].time },
            None => Handle { place: self.places.len() as u32, time: 0 },
        }
    }

    /// Keep `thing`.
    pub fn put(&mut self, thing: T) -> Handle {
        if let Some(place) = self.free.pop() {
            let entry = &mut self.places[place as usize];
            entry.kept = Some(thing);
            return Handle { place, time: entry.time };
        }
        self.places.push(Place { time: 0, kept: Some(thing) });
        Handle { place: (self.places.len() - 1) as u32, time: 0 }
    }

    /// What is kept there, if it still is.
    pub fn get(&self, handle: Handle) -> Option<&T> {
        self.places.get(handle.place as usize).filter(|place| place.time == handle.time)?.kept.as_ref()
    }

    /// What is kept there, if it still is.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        self.places.get_mut(handle.place as usize).filter(|place| place.time == handle.time)?.kept.as_mut()
    }

    /// Keep it no more.
    pub fn take(&mut self, handle: Handle) -> Option<T> {
        let place = self.places.get_mut(handle.place as usize).filter(|place| place.time == handle.time)?;
        let thing = place.kept.take()?;
        place.time = (place.time + 1) % TIMES;
        self.free.push(handle.place);
        Some(thing)
    }

    /// The handles of all that is kept.
    pub fn handles(&self) -> Vec<Handle> {
        let of = |(place, entry): (usize, &Place<T>)| {
            entry.kept.as_ref().map(|_| Handle { place: place as u32, time: entry.time })
        };
        self.places.iter().enumerate().filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_of_another_time_finds_nothing() {
        let mut slab = Slab::new();
        let expected = slab.next_handle();
        let first = slab.put("a");
        assert_eq!(first, expected);
        assert_eq!(slab.get(first), Some(&"a"));
        assert_eq!(slab.take(first), Some("a"));
        let expected = slab.next_handle();
        let second = slab.put("b");
        assert_eq!(second, expected);
        assert_ne!(first, second);
        assert!(slab.get(first).is_none() && slab.get_mut(first).is_none());
        assert!(slab.take(first).is_none());
        assert_eq!(slab.handles(), [second]);
        assert_eq!(Handle::from_bits(second.to_bits()), second);
        assert_eq!(slab.len(), 1);
    }
}
