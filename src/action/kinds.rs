//! A closed set of kinds, written once: the enum of values, the enum of kinds, every kind in order and each one's YAML key.
//!
//! Whatever names all kinds beside them is made from the same list, so that none can be forgotten there. Everywhere else a new
//! kind is a `match` that does not compile (`tests/forgotten.sh` shows it with a dummy of each set).

/// Defines `$values` with one variant a kind, `$kinds` with the same variants and no values, and what ties the two.
macro_rules! kinds {
    (
        $(#[doc = $about:expr])*
        $values:ident, $kinds:ident;
        $( $(#[doc = $doc:expr])* $(#[cfg($when:meta)])? $kind:ident($value:ty) = $key:literal, )*
    ) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $values {
            $( $(#[doc = $doc])* $(#[cfg($when)])? #[serde(rename = $key)] $kind($value), )*
        }

        #[doc = concat!("The kind of one [`", stringify!($values), "`].")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        pub enum $kinds {
            $( $(#[doc = $doc])* $(#[cfg($when)])? #[serde(rename = $key)] $kind, )*
        }

        impl $kinds {
            /// Every one, in the order in which a help text shows them.
            pub const ALL: &'static [Self] = &[ $( $(#[cfg($when)])? Self::$kind, )* ];

            /// The YAML key of every one, in the same order.
            pub const KEYS: &'static [&'static str] = &[ $( $(#[cfg($when)])? $key, )* ];

            /// The YAML key.
            #[must_use]
            pub fn key(self) -> &'static str {
                match self { $( $(#[cfg($when)])? Self::$kind => $key, )* }
            }

            /// The one with this YAML key.
            #[must_use]
            pub fn of_key(key: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.key() == key)
            }
        }

        impl ::std::fmt::Display for $kinds {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.key())
            }
        }

        impl $values {
            /// Its kind.
            #[must_use]
            pub fn kind(&self) -> $kinds {
                match self { $( $(#[cfg($when)])? Self::$kind(_) => $kinds::$kind, )* }
            }

            /// The YAML key.
            #[must_use]
            pub fn key(&self) -> &'static str {
                self.kind().key()
            }
        }
    };
}

pub(crate) use kinds;
