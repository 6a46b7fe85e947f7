//! The words that people are made of, per locale: our own short lists of common given and family names, streets and towns. Combinations
//! are drawn, nobody is meant. Each name stands with the spelling that its e-mail address takes.

use types::{Currency, Region};

/// A name and its spelling in plain letters.
pub type Name = (&'static str, &'static str);

/// One of the places that customers come from.
#[derive(Debug)]
pub struct Locale {
    /// BCP 47.
    pub tag: &'static str,
    pub region: Region,
    pub country: &'static str,
    pub currency: Currency,
    pub time_zone: &'static str,
    /// Its share of the customers, in percent; all add up to 100.
    pub percent: u32,
    pub given: &'static [Name],
    pub family: &'static [Name],
    /// Whether the family name comes first, and what stands between.
    pub family_first: bool,
    pub between: &'static str,
    pub streets: &'static [&'static str],
    /// The number comes first: `12 Elm Street`, not `Lindenallee 12`.
    pub number_first: bool,
    /// Towns with a postal code in which each `#` is a digit to be drawn.
    pub towns: &'static [(&'static str, &'static str)],
    /// A number from a range that is kept free for fiction; each `#` is a digit to be drawn.
    pub phone: &'static str,
}

const AMERICAN_PHONE: &str = "+1-202-555-01##";

pub const LOCALES: &[Locale] = &[
    Locale {
        tag: "en-US",
        region: Region::Us,
        country: "US",
        currency: Currency::Usd,
        time_zone: "America/New_York",
        percent: 38,
        given: &[
            ("Olivia", "olivia"),
            ("Noah", "noah"),
            ("Emma", "emma"),
            ("Liam", "liam"),
            ("Ava", "ava"),
            ("Ethan", "ethan"),
            ("Grace", "grace"),
            ("Caleb", "caleb"),
            ("Zoë", "zoe"),
            ("Renée", "renee"),
            ("Marcus", "marcus"),
            ("Ivy", "ivy"),
        ],
        family: &[
            ("Carter", "carter"),
            ("Brooks", "brooks"),
            ("O’Neill", "oneill"),
            ("Whitfield", "whitfield"),
            ("Nakamura", "nakamura"),
            ("Hayes", "hayes"),
            ("Delgado", "delgado"),
            ("Porter", "porter"),
            ("Sloane", "sloane"),
            ("Washington", "washington"),
        ],
        family_first: false,
        between: " ",
        streets: &["Elm Street", "Maple Avenue", "Harbor Road", "Mill Lane", "Sunset Drive"],
        number_first: true,
        towns: &[("Albany", "122##"), ("Columbus", "432##"), ("Savannah", "314##"), ("Boise", "837##"), ("Dayton", "454##")],
        phone: AMERICAN_PHONE,
    },
    Locale {
        tag: "es-US",
        region: Region::Us,
        country: "US",
        currency: Currency::Usd,
        time_zone: "America/Los_Angeles",
        percent: 7,
        given: &[("Lucía", "lucia"), ("Mateo", "mateo"), ("Sofía", "sofia"), ("Andrés", "andres"), ("Ximena", "ximena")],
        family: &[("Muñoz", "munoz"), ("Rivera", "rivera"), ("Peña", "pena"), ("Castillo", "castillo"), ("Ibáñez", "ibanez")],
        family_first: false,
        between: " ",
        streets: &["Alameda Avenue", "Mission Road", "Cedar Court"],
        number_first: true,
        towns: &[("Fresno", "937##"), ("El Paso", "799##"), ("Tucson", "857##")],
        phone: "+1-415-555-01##",
    },
    Locale {
        tag: "de-DE",
        region: Region::Eu,
        country: "DE",
        currency: Currency::Eur,
        time_zone: "Europe/Berlin",
        percent: 12,
        given: &[
            ("Jürgen", "juergen"),
            ("Käthe", "kaethe"),
            ("Lena", "lena"),
            ("Björn", "bjoern"),
            ("Anneliese", "anneliese"),
            ("Emre", "emre"),
        ],
        family: &[
            ("Müller", "mueller"),
            ("Groß", "gross"),
            ("Schäfer", "schaefer"),
            ("Yılmaz", "yilmaz"),
            ("Vogt", "vogt"),
            ("Krüger", "krueger"),
        ],
        family_first: false,
        between: " ",
        streets: &["Lindenallee", "Hauptstraße", "Mühlenweg", "Am Markt", "Goethestraße"],
        number_first: false,
        towns: &[("Köln", "506##"), ("Leipzig", "041##"), ("Nürnberg", "904##"), ("Görlitz", "028##")],
        phone: "+49-30-23125-###",
    },
    Locale {
        tag: "fr-FR",
        region: Region::Eu,
        country: "FR",
        currency: Currency::Eur,
        time_zone: "Europe/Paris",
        percent: 9,
        given: &[("Élodie", "elodie"), ("François", "francois"), ("Chloé", "chloe"), ("Hélène", "helene"), ("Loïc", "loic")],
        family: &[("Lefèvre", "lefevre"), ("Garçon", "garcon"), ("Dupré", "dupre"), ("Benoît", "benoit"), ("Moreau", "moreau")],
        family_first: false,
        between: " ",
        streets: &["rue des Lilas", "avenue de la Gare", "place de l’Église", "chemin du Moulin"],
        number_first: true,
        towns: &[("Nîmes", "300##"), ("Besançon", "250##"), ("Lyon", "690##")],
        phone: "+33-1-99-00-##-##",
    },
    Locale {
        tag: "es-ES",
        region: Region::Eu,
        country: "ES",
        currency: Currency::Eur,
        time_zone: "Europe/Madrid",
        percent: 5,
        given: &[("Íñigo", "inigo"), ("Begoña", "begona"), ("Raúl", "raul"), ("Inés", "ines")],
        family: &[("Núñez", "nunez"), ("Ordóñez", "ordonez"), ("Vidal", "vidal"), ("Etxeberria", "etxeberria")],
        family_first: false,
        between: " ",
        streets: &["Calle Mayor", "Paseo del Río", "Plaza de España"],
        number_first: false,
        towns: &[("A Coruña", "150##"), ("Cádiz", "110##"), ("Logroño", "260##")],
        phone: AMERICAN_PHONE,
    },
    Locale {
        tag: "pl-PL",
        region: Region::Eu,
        country: "PL",
        currency: Currency::Eur,
        time_zone: "Europe/Warsaw",
        percent: 4,
        given: &[("Łukasz", "lukasz"), ("Małgorzata", "malgorzata"), ("Zofia", "zofia"), ("Paweł", "pawel")],
        family: &[("Wójcik", "wojcik"), ("Kowalczyk", "kowalczyk"), ("Dąbek", "dabek"), ("Żak", "zak")],
        family_first: false,
        between: " ",
        streets: &["ulica Długa", "ulica Słoneczna", "aleja Róż"],
        number_first: false,
        towns: &[("Łódź", "90-0##"), ("Gdańsk", "80-1##"), ("Kraków", "31-0##")],
        phone: AMERICAN_PHONE,
    },
    Locale {
        tag: "sv-SE",
        region: Region::Eu,
        country: "SE",
        currency: Currency::Eur,
        time_zone: "Europe/Stockholm",
        percent: 2,
        given: &[("Åsa", "asa"), ("Göran", "goran"), ("Linnéa", "linnea")],
        family: &[("Sjöberg", "sjoberg"), ("Åkesson", "akesson"), ("Lind", "lind")],
        family_first: false,
        between: " ",
        streets: &["Storgatan", "Skolvägen", "Björkgatan"],
        number_first: false,
        towns: &[("Malmö", "211 ##"), ("Umeå", "903 ##")],
        phone: "+46-8-465-004-##",
    },
    Locale {
        tag: "en-IE",
        region: Region::Eu,
        country: "IE",
        currency: Currency::Eur,
        time_zone: "Europe/Dublin",
        percent: 3,
        given: &[("Aoife", "aoife"), ("Seán", "sean"), ("Niamh", "niamh"), ("Pádraig", "padraig")],
        family: &[("Ó Briain", "obriain"), ("Walsh", "walsh"), ("Ní Dhomhnaill", "nidhomhnaill"), ("Byrne", "byrne")],
        family_first: false,
        between: " ",
        streets: &["Bridge Street", "Castle Road", "Quay Lane"],
        number_first: true,
        towns: &[("Galway", "H91 E2##"), ("Cork", "T12 A3##")],
        phone: AMERICAN_PHONE,
    },
    Locale {
        tag: "ja-JP",
        region: Region::Apac,
        country: "JP",
        currency: Currency::Jpy,
        time_zone: "Asia/Tokyo",
        percent: 10,
        given: &[("さくら", "sakura"), ("陽菜", "hina"), ("蓮", "ren"), ("健太", "kenta"), ("美咲", "misaki"), ("翔", "sho")],
        family: &[("佐藤", "sato"), ("鈴木", "suzuki"), ("高橋", "takahashi"), ("渡辺", "watanabe"), ("小林", "kobayashi")],
        family_first: true,
        between: " ",
        streets: &["桜通り", "本町", "中央通り", "緑町"],
        number_first: false,
        towns: &[("札幌市", "060-00##"), ("名古屋市", "460-00##"), ("福岡市", "810-00##")],
        phone: AMERICAN_PHONE,
    },
    Locale {
        tag: "vi-VN",
        region: Region::Apac,
        country: "VN",
        currency: Currency::Vnd,
        time_zone: "Asia/Ho_Chi_Minh",
        percent: 10,
        given: &[
            ("Thị Mai", "mai"),
            ("Văn Đức", "duc"),
            ("Ngọc Ánh", "anh"),
            ("Quốc Bảo", "bao"),
            ("Thuỳ Dương", "duong"),
            ("Kim Ngân", "ngan"),
        ],
        family: &[("Nguyễn", "nguyen"), ("Trần", "tran"), ("Phạm", "pham"), ("Đặng", "dang"), ("Hoàng", "hoang")],
        family_first: true,
        between: " ",
        streets: &["Lê Lợi", "Trần Hưng Đạo", "Hai Bà Trưng", "Nguyễn Huệ"],
        number_first: true,
        towns: &[("Đà Nẵng", "5500##"), ("Hà Nội", "1000##"), ("Cần Thơ", "9000##")],
        phone: AMERICAN_PHONE,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locales_cover_everybody_once() {
        assert_eq!(LOCALES.iter().map(|locale| locale.percent).sum::<u32>(), 100);
        for locale in LOCALES {
            let plain = |names: &[Name]| names.iter().all(|(_, spelling)| spelling.bytes().all(|byte| byte.is_ascii_lowercase()));
            assert!(plain(locale.given) && plain(locale.family), "{}", locale.tag);
            assert!(locale.phone.starts_with('+') && locale.phone.contains('#'), "{}", locale.tag);
        }
        for region in Region::ALL {
            assert!(LOCALES.iter().any(|locale| locale.region == region));
        }
    }
}
