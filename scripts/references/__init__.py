"""Reference values of other libraries, made once and stored, so that no test needs those libraries."""
