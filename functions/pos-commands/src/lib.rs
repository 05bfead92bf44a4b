//! POS commands: one envelope, one conditional write.
