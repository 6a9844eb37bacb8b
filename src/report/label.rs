//! How an item is called on screens. Nothing reads a label back, and nothing is told apart by one.

use super::layout::clean;
use crate::action::ItemId;

/// What people call the item with this key, harmless.
pub(super) fn label(key: &str) -> String {
    match ItemId::of_key(key) {
        ItemId::Thing(name) => clean(&name),
        // Our own words stand in the key as they are told.
        ItemId::StartTimeout(_) | ItemId::Chore(_) => clean(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_called_by_its_name_whatever_the_name_is() {
        for name in ["api", "(daemon)", "=x", "start time-out of x"] {
            assert_eq!(label(&ItemId::from(name).key()), name);
        }
        assert_eq!(label("(saved list)"), "(saved list)");
    }
}
