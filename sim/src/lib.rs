//! A virtual cluster that runs Graticule's engines under seeded faults.
