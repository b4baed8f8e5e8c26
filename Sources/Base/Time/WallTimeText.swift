extension WallTime {
    /// Reads `2026-12-31` or `2026-12-31T23:59:59Z`: a day of the Gregorian calendar, in UTC.
    package init?(utc text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 10 || bytes.count == 20 && bytes[10] == 0x54 && bytes[19] == 0x5A,
            let year = Self.number(bytes[0..<4]), let month = Self.number(bytes[5..<7]),
            let day = Self.number(bytes[8..<10]), bytes[4] == 0x2D, bytes[7] == 0x2D,
            year >= 1970, (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var seconds = Self.days(year, month, day) * 86_400
        // A day that the month does not have would be one of the next month.
        guard month == 12 || Self.days(year, month, day) < Self.days(year, month + 1, 1) else {
            return nil
        }
        if bytes.count == 20 {
            guard let hour = Self.number(bytes[11..<13]), let minute = Self.number(bytes[14..<16]),
                let second = Self.number(bytes[17..<19]), bytes[13] == 0x3A, bytes[16] == 0x3A,
                hour < 24, minute < 60, second < 60
            else { return nil }
            seconds += hour * 3_600 + minute * 60 + second
        }
        self.init(milliseconds: UInt64(seconds) * 1_000)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        digits.reduce(0 as Int?) { sum, digit in
            guard let sum, (0x30...0x39).contains(digit) else { return nil }
            return sum * 10 + Int(digit) - 0x30
        }
    }

    /// Days since 1970-01-01; years begin in March, so that the leap day is the last of one.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let leapDays = shifted / 4 - shifted / 100 + shifted / 400
        return shifted * 365 + leapDays + dayOfYear - 719_468
    }
}
