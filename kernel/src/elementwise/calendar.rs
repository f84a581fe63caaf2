//! The proleptic Gregorian calendar: from a count of one unit since 1970 to a count of another.
//!
//! Hinnant: chrono-Compatible Low-Level Date Algorithms (2013).

use graticule_plan::TimeUnit;

/// Days of 400 years, after which the calendar repeats.
const DAYS_OF_ERA: i64 = 146_097;
/// Days from the 1st of March of the year 0 to the 1st of January 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

/// A length of so many units in another unit, rounded down; what is out of range wraps.
#[inline(always)]
pub(super) fn scaled(count: i64, from: TimeUnit, to: TimeUnit) -> i64 {
    let (from, to) = (from.nanoseconds(), to.nanoseconds());
    if from % to == 0 {
        count.wrapping_mul((from / to) as i64)
    } else if to % from == 0 {
        count.div_euclid((to / from) as i64)
    } else {
        (i128::from(count) * from).div_euclid(to) as i64
    }
}

/// A point in time counted in another unit, rounded down; what is out of range wraps.
#[inline(always)]
pub(super) fn point(count: i64, from: TimeUnit, to: TimeUnit) -> i64 {
    if from.is_of_calendar() == to.is_of_calendar() {
        // Months of years, or seconds of days: fixed numbers.
        return scaled(count, from, to);
    }
    if from.is_of_calendar() {
        let months = scaled(count, from, TimeUnit::Month);
        return scaled(days_of_month(months), TimeUnit::Day, to);
    }
    let months = month_of_day(scaled(count, from, TimeUnit::Day));
    scaled(months, TimeUnit::Month, to)
}

/// The first day of a month. Years are taken from March on, so that the leap day is the last one.
fn days_of_month(months: i64) -> i64 {
    let since_march = months.wrapping_add(1970 * 12 - 2);
    let (year, month) = (since_march.div_euclid(12), since_march.rem_euclid(12));
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    // Months from March on have 31, 30, 31, 30, 31 days, and again.
    let day_of_year = (153 * month + 2) / 5;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
    era.wrapping_mul(DAYS_OF_ERA)
        .wrapping_add(day_of_era)
        .wrapping_sub(DAYS_BEFORE_1970)
}

/// The month that a day lies in.
fn month_of_day(days: i64) -> i64 {
    let days = days.wrapping_add(DAYS_BEFORE_1970);
    let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    // Without the leap days before it a day of an era is one of years of 365 days.
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    (era * 400 + year) * 12 + month - (1970 * 12 - 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_two_eras_lies_in_its_month() {
        let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let mut day = days_of_month((1500 - 1970) * 12);
        for year in 1500..2300 {
            for month in 0..12 {
                let number = (year - 1970) * 12 + month;
                let len = match month {
                    1 if is_leap(year) => 29,
                    1 => 28,
                    3 | 5 | 8 | 10 => 30,
                    _ => 31,
                };
                assert_eq!(days_of_month(number), day);
                for within in [0, 1, len - 1] {
                    assert_eq!(month_of_day(day + within), number, "{year}-{}", month + 1);
                }
                day += len;
            }
        }
        assert_eq!(days_of_month(0), 0);
        assert_eq!(month_of_day(-1), -1);
    }

    #[test]
    fn units_convert_by_fixed_numbers_and_round_down() {
        use TimeUnit::*;
        assert_eq!(scaled(-1, Nanosecond, Day), -1);
        assert_eq!(scaled(3, Week, Hour), 504);
        assert_eq!(scaled(50, Year, Day), 18_262);
        assert_eq!(scaled(-13, Month, Hour), -9497);
        assert_eq!(point(-1, Year, Second), -31_536_000);
        assert_eq!(point(1_582_982_055, Second, Month), 601);
        assert_eq!(point(-1, Day, Year), -1);
    }
}
