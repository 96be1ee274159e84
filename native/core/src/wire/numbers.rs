//! The numbers of the DNS, by their IANA names, and the closed sets of labels made of them.
//!
//! Knows: values and names.  Does not know: what anything does with them.  Values not listed here stay plain
//! integers everywhere: an unknown type or rcode is a fact, not an error.
//! Source: IANA "Domain Name System (DNS) Parameters".

/// The label of every value outside a closed set.
pub const OTHER_LABEL: &str = "OTHER";

/// Constants with their IANA names, and the function from value to name.
macro_rules! labelled {
    (#[doc = $about:literal] $label:ident: $kind:ty; $($constant:ident = $value:literal, $name:literal;)*) => {
        $(#[doc = concat!("IANA: ", $name, ".")] pub const $constant: $kind = $value;)*
        #[doc = $about]
        pub fn $label(value: $kind) -> &'static str {
            match value {
                $($value => $name,)*
                _ => OTHER_LABEL,
            }
        }
    };
}

/// Constants that are documented by their names.
macro_rules! named {
    ($kind:ty, $about:literal; $($constant:ident = $value:literal;)*) => {
        $(#[doc = concat!($about, ": `", stringify!($constant), "`.")] pub const $constant: $kind = $value;)*
    };
}

labelled! {
    #[doc = "The IANA name of a type this resolver names; `OTHER` for every other value."]
    qtype_label: u16;
    TYPE_A = 1, "A";
    TYPE_NS = 2, "NS";
    TYPE_CNAME = 5, "CNAME";
    TYPE_SOA = 6, "SOA";
    TYPE_MB = 7, "MB";
    TYPE_MG = 8, "MG";
    TYPE_MR = 9, "MR";
    TYPE_NULL = 10, "NULL";
    TYPE_PTR = 12, "PTR";
    TYPE_HINFO = 13, "HINFO";
    TYPE_MINFO = 14, "MINFO";
    TYPE_MX = 15, "MX";
    TYPE_TXT = 16, "TXT";
    TYPE_RP = 17, "RP";
    TYPE_AFSDB = 18, "AFSDB";
    TYPE_RT = 21, "RT";
    TYPE_SIG = 24, "SIG";
    TYPE_PX = 26, "PX";
    TYPE_AAAA = 28, "AAAA";
    TYPE_NXT = 30, "NXT";
    TYPE_SRV = 33, "SRV";
    TYPE_NAPTR = 35, "NAPTR";
    TYPE_KX = 36, "KX";
    TYPE_CERT = 37, "CERT";
    TYPE_DNAME = 39, "DNAME";
    TYPE_OPT = 41, "OPT";
    TYPE_DS = 43, "DS";
    TYPE_SSHFP = 44, "SSHFP";
    TYPE_RRSIG = 46, "RRSIG";
    TYPE_NSEC = 47, "NSEC";
    TYPE_DNSKEY = 48, "DNSKEY";
    TYPE_NSEC3 = 50, "NSEC3";
    TYPE_NSEC3PARAM = 51, "NSEC3PARAM";
    TYPE_TLSA = 52, "TLSA";
    TYPE_SMIMEA = 53, "SMIMEA";
    TYPE_CDS = 59, "CDS";
    TYPE_CDNSKEY = 60, "CDNSKEY";
    TYPE_OPENPGPKEY = 61, "OPENPGPKEY";
    TYPE_CSYNC = 62, "CSYNC";
    TYPE_ZONEMD = 63, "ZONEMD";
    TYPE_SVCB = 64, "SVCB";
    TYPE_HTTPS = 65, "HTTPS";
    TYPE_SPF = 99, "SPF";
    TYPE_NXNAME = 128, "NXNAME";
    TYPE_TKEY = 249, "TKEY";
    TYPE_TSIG = 250, "TSIG";
    TYPE_IXFR = 251, "IXFR";
    TYPE_AXFR = 252, "AXFR";
    TYPE_MAILB = 253, "MAILB";
    TYPE_MAILA = 254, "MAILA";
    TYPE_ANY = 255, "ANY";
    TYPE_URI = 256, "URI";
    TYPE_CAA = 257, "CAA";
    TYPE_RESINFO = 261, "RESINFO";
}

labelled! {
    #[doc = "The IANA name of a response code; `OTHER` for a value without one."]
    rcode_label: u16;
    RCODE_NOERROR = 0, "NOERROR";
    RCODE_FORMERR = 1, "FORMERR";
    RCODE_SERVFAIL = 2, "SERVFAIL";
    RCODE_NXDOMAIN = 3, "NXDOMAIN";
    RCODE_NOTIMP = 4, "NOTIMP";
    RCODE_REFUSED = 5, "REFUSED";
    RCODE_YXDOMAIN = 6, "YXDOMAIN";
    RCODE_YXRRSET = 7, "YXRRSET";
    RCODE_NXRRSET = 8, "NXRRSET";
    RCODE_NOTAUTH = 9, "NOTAUTH";
    RCODE_NOTZONE = 10, "NOTZONE";
    RCODE_BADVERS = 16, "BADVERS";
}

named! {
    u16, "Class (RFC 1035 §3.2.4)";
    CLASS_IN = 1;
    CLASS_CH = 3;
    CLASS_HS = 4;
    CLASS_NONE = 254;
    CLASS_ANY = 255;
}

named! {
    u16, "EDNS option code; those from 65001 on are for local use (RFC 6891 §9)";
    OPTION_NSID = 3;
    OPTION_CLIENT_SUBNET = 8;
    OPTION_COOKIE = 10;
    OPTION_TCP_KEEPALIVE = 11;
    OPTION_PADDING = 12;
    OPTION_EXTENDED_ERROR = 15;
    OPTION_AUDIT_SECRET = 65331;
}

named! {
    u16, "Extended DNS Error INFO-CODE (RFC 8914 §4)";
    EDE_OTHER = 0;
    EDE_STALE_ANSWER = 3;
    EDE_FORGED_ANSWER = 4;
    EDE_CACHED_ERROR = 13;
    EDE_NOT_READY = 14;
    EDE_BLOCKED = 15;
    EDE_CENSORED = 16;
    EDE_FILTERED = 17;
    EDE_PROHIBITED = 18;
    EDE_STALE_NXDOMAIN_ANSWER = 19;
    EDE_NOT_AUTHORITATIVE = 20;
    EDE_NOT_SUPPORTED = 21;
    EDE_NO_REACHABLE_AUTHORITY = 22;
    EDE_NETWORK_ERROR = 23;
    EDE_INVALID_DATA = 24;
}

named! {
    u16, "Bit of the header's flags word (RFC 1035 §4.1.1, RFC 4035 §3.1.6)";
    FLAG_QR = 0x8000;
    FLAG_AA = 0x0400;
    FLAG_TC = 0x0200;
    FLAG_RD = 0x0100;
    FLAG_RA = 0x0080;
    FLAG_Z = 0x0040;
    FLAG_AD = 0x0020;
    FLAG_CD = 0x0010;
}

named! {
    u8, "Kind of query (RFC 1035 §4.1.1 and later)";
    OPCODE_QUERY = 0;
    OPCODE_IQUERY = 1;
    OPCODE_STATUS = 2;
    OPCODE_NOTIFY = 4;
    OPCODE_UPDATE = 5;
    OPCODE_DSO = 6;
}

/// What asking for a type that is no question about data gets (RFC 6895 §3.1); `None` for ordinary types.
///
/// None of them is ever forwarded.
#[inline]
pub fn meta_type_rcode(qtype: u16) -> Option<u8> {
    // Why the bound first: nearly every question is for a low type, and leaves here.
    if qtype != 0 && qtype < TYPE_OPT {
        return None;
    }
    match qtype {
        // NXNAME stands in NSEC records only (RFC 9824).
        0 | TYPE_OPT | TYPE_NXNAME | TYPE_TSIG => Some(RCODE_FORMERR as u8),
        TYPE_TKEY | TYPE_MAILA | TYPE_MAILB => Some(RCODE_NOTIMP as u8),
        TYPE_AXFR | TYPE_IXFR => Some(RCODE_REFUSED as u8),
        _ => None,
    }
}

/// The two negative answers of RFC 2308; they never stand in for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NegativeKind {
    /// The name does not exist.
    Nxdomain,
    /// The name has no records of the type.
    Nodata,
}

/// Whether an rcode is what servers without EDNS say to it (RFC 6891 §7).
pub(super) fn is_edns_stumble(rcode: u16) -> bool {
    matches!(rcode, RCODE_FORMERR | RCODE_NOTIMP | RCODE_BADVERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_have_their_names_and_others_one_label() {
        assert_eq!(qtype_label(TYPE_HTTPS), "HTTPS");
        assert_eq!(qtype_label(65280), OTHER_LABEL);
        assert_eq!(rcode_label(RCODE_BADVERS), "BADVERS");
        assert_eq!(rcode_label(11), OTHER_LABEL);
    }

    #[test]
    fn meta_types_are_no_questions() {
        assert_eq!(meta_type_rcode(TYPE_A), None);
        assert_eq!(meta_type_rcode(TYPE_ANY), None);
        assert_eq!(meta_type_rcode(0), Some(1));
        assert_eq!(meta_type_rcode(TYPE_OPT), Some(1));
        assert_eq!(meta_type_rcode(TYPE_MAILB), Some(4));
        assert_eq!(meta_type_rcode(TYPE_IXFR), Some(5));
    }
}
