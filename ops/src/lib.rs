//! What a Graticule task does, as data.
