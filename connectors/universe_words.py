"""Word lists of the invented universe. Stems are nonsense on purpose, so that no real company is meant."""

from __future__ import annotations

from typing import NamedTuple


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PROGRAMS = ("next-technik", "one-network", "code-ninety", "technology-consultant", "optimetriks")
CURRENCIES = ("AED", "AUD", "CAD", "CHF", "EUR", "GBP", "INR", "JPY", "NZD", "PKR", "SAR", "SGD", "USD", "ZAR")
"""What picklists of simulated systems offer."""
INDUSTRIES: tuple[str, ...] = (
    "construction",
    "energy",
    "facilities",
    "healthcare",
    "manufacturing",
    "telecommunications",
    "utilities",
    "other",
)

# A stem is HEAD (3 letters) + MIDDLE (2 letters) + TAIL: fixed lengths keep two stems from spelling the same word.
HEADS = _words(
    "bel ber bor bra bre bri cal cam car cor cre dal dan del dor dra fal fen fer fin fol for fra fre gal gar gil gor "
    "gra gre hal han har hel hol jan jar jor kal kar kel ker kon kor kra lam lan lar len lin lor lun mar mel mer mon "
    "mor nal nar nel nor pal par pel per pol por pra qua ral ran rem ren rol ros sal san sel sen sol sor sta ste tal "
    "tan tel tor tra tre tri val van var vel ver vin vol wal war wel wen win zal zan zel"
)
MIDDLES = _words("ba ca da di do fa ga go la li lo ma mi mo na ni no ra ri ro sa ta ti to va vi vo xa xi za")
TAILS = _words(
    "bor cor dan dex dor fane gard gen hart kas lan lex lin lis lund mar mont nor nova pex quin rick ron sen sk son "
    "spar tec thal tis tor trix vard vec ven vik vis von wick xon zen"
)

NOUNS = _words(
    "Anchor Anvil Aspen Badger Basalt Beacon Birch Bison Bramble Buzzard Canyon Cedar Cinder Clover Cobalt Comet "
    "Compass Condor Copper Coral Crane Crescent Cypress Delta Dolphin Eagle Ember Falcon Fjord Flint Fountain Fox "
    "Garnet Glacier Granite Gull Hammer Harbour Hawthorn Hazel Hedgehog Heron Horizon Ibex Indigo Island Ivy Jasper "
    "Juniper Kestrel Keystone Kite Lagoon Lantern Larch Lark Laurel Ledger Lichen Lighthouse Lilac Lynx Magnet Maple "
    "Marble Marlin Meadow Mercury Meridian Mill Mistral Nettle Nimbus Oak Oasis Obsidian Onyx Orchard Osprey Otter "
    "Owl Pebble Pelican Pine Pinnacle Plover Poplar Prism Puffin Quarry Quartz Rampart Raven Reed Ridge Robin Rowan "
    "Sable Saffron Sail Salmon Sandpiper Sapphire Sequoia Sextant Shale Silo Slate Sparrow Spruce Starling Stork "
    "Summit Swift Sycamore Tamarind Teal Thistle Thunder Tide Timber Topaz Torrent Tundra Turbine Umber Vale Vertex "
    "Violet Walnut Warbler Willow Wolf Wren Yarrow Yew Zephyr Zenith"
)
ADJECTIVES = _words(
    "Allied Amber Atlantic Baltic Blue Bright Central Clear Coastal Eastern First Gold Grand Green High Iron Modern "
    "New Noble Northern Old Pacific Prime Red Royal Silver Southern Steel Swiftwater United Upper Western White "
    "Wide Young"
)

DESCRIPTORS: dict[str, tuple[tuple[str, ...], ...]] = {  # language -> words, in the order of INDUSTRIES
    "en": (
        ("Construction", "Builders", "Contractors", "Civil Works"),
        ("Energy", "Power", "Solar", "Renewables"),
        ("Facilities", "Building Services", "Elevators", "Property Care"),
        ("Healthcare", "Clinics", "Medical", "Care Homes"),
        ("Manufacturing", "Industries", "Machine Works", "Tooling"),
        ("Telecom", "Networks", "Broadband", "Communications"),
        ("Water", "Utilities", "Waste Services", "Grid"),
        ("Group", "Partners", "Trading", "Logistics"),
    ),
    "de": (
        ("Bau", "Hochbau", "Tiefbau", "Bauunternehmung"),
        ("Energie", "Solar", "Windkraft", "Energietechnik"),
        ("Gebäudeservice", "Aufzüge", "Gebäudetechnik", "Hausverwaltung"),
        ("Kliniken", "Gesundheit", "Medizintechnik", "Pflegedienste"),
        ("Maschinenbau", "Werkzeugbau", "Industrie", "Metallbau"),
        ("Telekommunikation", "Netze", "Funktechnik", "Datennetze"),
        ("Stadtwerke", "Wasserwerke", "Entsorgung", "Versorgung"),
        ("Gruppe", "Handel", "Logistik", "Beratung"),
    ),
    "fr": (
        ("Construction", "Bâtiment", "Travaux Publics"),
        ("Énergie", "Solaire", "Éolien"),
        ("Services aux Bâtiments", "Ascenseurs", "Propreté"),
        ("Santé", "Cliniques", "Médical"),
        ("Mécanique", "Industrie", "Outillage"),
        ("Télécom", "Réseaux", "Fibre"),
        ("Eaux", "Assainissement", "Distribution"),
        ("Groupe", "Conseil", "Logistique"),
    ),
    "es": (
        ("Construcciones", "Obras", "Edificación"),
        ("Energía", "Solar", "Renovables"),
        ("Servicios Integrales", "Ascensores", "Mantenimiento"),
        ("Salud", "Clínicas", "Sanitaria"),
        ("Industrias", "Maquinaria", "Metalúrgica"),
        ("Telecomunicaciones", "Redes", "Fibra"),
        ("Aguas", "Residuos", "Suministros"),
        ("Grupo", "Comercial", "Logística"),
    ),
    "it": (
        ("Costruzioni", "Edilizia", "Infrastrutture"),
        ("Energia", "Fotovoltaico", "Eolica"),
        ("Ascensori", "Impianti", "Manutenzioni"),
        ("Sanità", "Cliniche", "Biomedica"),
        ("Meccanica", "Industrie", "Officine"),
        ("Telecomunicazioni", "Reti", "Fibra"),
        ("Acque", "Ambiente", "Servizi Idrici"),
        ("Gruppo", "Commerciale", "Logistica"),
    ),
    "nl": (
        ("Bouw", "Aannemers", "Infra"),
        ("Energie", "Zonnestroom", "Windenergie"),
        ("Liften", "Gebouwbeheer", "Schoonmaak"),
        ("Zorg", "Klinieken", "Medisch"),
        ("Machinefabriek", "Industrie", "Metaal"),
        ("Telecom", "Netwerken", "Glasvezel"),
        ("Water", "Afvalbeheer", "Netbeheer"),
        ("Groep", "Handel", "Logistiek"),
    ),
    "pl": (
        ("Budownictwo", "Konstrukcje", "Roboty Inżynieryjne"),
        ("Energia", "Fotowoltaika", "Energetyka"),
        ("Windy", "Usługi Techniczne", "Nieruchomości"),
        ("Zdrowie", "Kliniki", "Medycyna"),
        ("Maszyny", "Przemysł", "Narzędzia"),
        ("Telekomunikacja", "Sieci", "Światłowody"),
        ("Wodociągi", "Gospodarka Odpadami", "Ciepłownia"),
        ("Grupa", "Handel", "Logistyka"),
    ),
    "sv": (
        ("Bygg", "Entreprenad", "Anläggning"),
        ("Energi", "Solkraft", "Vindkraft"),
        ("Hissar", "Fastighetsservice", "Städ"),
        ("Vård", "Kliniker", "Medicinteknik"),
        ("Mekaniska", "Industri", "Verktyg"),
        ("Telekom", "Nät", "Fiber"),
        ("Vatten", "Återvinning", "Elnät"),
        ("Gruppen", "Handel", "Logistik"),
    ),
}

ACCENTS: dict[str, tuple[str, str]] = {  # language -> a letter of stems and what some names write instead
    "de": ("o", "ö"),
    "fr": ("e", "é"),
    "es": ("a", "á"),
    "it": ("i", "ì"),
    "pl": ("l", "ł"),
    "sv": ("a", "å"),
}


class Country(NamedTuple):
    """How companies of a country are written; ``#`` is a digit."""

    code: str
    weight: int
    language: str
    culture: str
    tld: str
    tax: str
    phone: str
    areas: tuple[str, ...]
    forms: tuple[str, ...]
    cities: tuple[str, ...]


def _country(
    code: str, weight: int, style: str, tld: str, tax: str, phone: str, areas: str, forms: str, cities: str
) -> Country:
    language, culture = style.split("/")
    split = tuple(tuple(text.split("|")) for text in (areas, forms, cities))
    return Country(code, weight, language, culture, tld, tax, phone, *split)


COUNTRIES = (
    _country("US", 18, "en/english", "com", "##-#######", "+1 {} 555 ####", "206|303|312|415|503|512|617|702|813|919",
             "Inc.|LLC|Corp.|Co.|L.P.", "Austin|Boise|Columbus|Denver|Portland|Raleigh|Tampa|Tulsa"),
    _country("DE", 14, "de/german", "de", "DE#########", "+49 {} 555#####", "30|40|69|89|211|221|341|511|711|911",
             "GmbH|GmbH & Co. KG|AG|UG (haftungsbeschränkt)|OHG|e.K.", "Berlin|Bremen|Düsseldorf|Köln|Leipzig|München"),
    _country("GB", 9, "en/english", "co.uk", "GB#########", "+44 {} 555 ####", "20 7|113|117|121|131|141|161|191",
             "Ltd|Limited|PLC|LLP", "Birmingham|Bristol|Cardiff|Edinburgh|Leeds|Sheffield"),
    _country("FR", 8, "fr/french", "fr", "FR###########", "+33 {} 55 ## ## ##", "1|2|3|4|5",
             "SAS|SARL|SA|EURL|SNC", "Bordeaux|Grenoble|Lille|Lyon|Nîmes|Orléans"),
    _country("IT", 6, "it/italian", "it", "IT###########", "+39 {} 555####", "02|06|010|011|051|055",
             "S.r.l.|S.p.A.|S.n.c.|S.a.s.", "Bologna|Forlì|Genova|Milano|Torino|Verona"),
    _country("ES", 6, "es/spanish", "es", "ESB########", "+34 {} 55 ## ##", "913|933|954|963|944",
             "S.L.|S.A.|S.L.U.|S.Coop.", "A Coruña|Bilbao|Córdoba|Málaga|Sevilla|Valencia"),
    _country("NL", 5, "nl/dutch", "nl", "NL#########B01", "+31 {} 555 ####", "20|10|70|30|40",
             "B.V.|N.V.|V.O.F.", "Breda|Den Haag|Eindhoven|Groningen|Utrecht"),
    _country("AT", 4, "de/german", "at", "ATU########", "+43 {} 555####", "1|316|512|662|732",
             "GmbH|AG|KG|OG", "Graz|Innsbruck|Linz|Salzburg|Wien"),
    _country("CH", 4, "de/german", "ch", "CHE-###.###.###", "+41 {} 555 ## ##", "44|31|61|71|41",
             "AG|GmbH|KlG", "Basel|Bern|Luzern|St. Gallen|Zürich"),
    _country("PL", 4, "pl/polish", "pl", "PL##########", "+48 {} 555 ## ##", "22|12|71|61|58",
             "Sp. z o.o.|S.A.|Sp.k.|Sp. j.", "Gdańsk|Kraków|Łódź|Poznań|Wrocław"),
    _country("SE", 4, "sv/nordic", "se", "SE##########01", "+46 {} 555 ## ##", "8|31|40|18|19",
             "AB|HB|KB", "Göteborg|Linköping|Malmö|Örebro|Uppsala"),
    _country("CA", 4, "en/english", "ca", "#########RT0001", "+1 {} 555 ####", "416|604|403|613|902",
             "Inc.|Ltd.|Corp.|Ltée", "Calgary|Halifax|Ottawa|Québec|Winnipeg"),
    _country("AU", 3, "en/english", "com.au", "## ### ### ###", "+61 {} 5550 ####", "2|3|7|8",
             "Pty Ltd|Ltd", "Adelaide|Brisbane|Hobart|Newcastle|Perth"),
    _country("IN", 3, "en/indian", "in", "##AABCT####R#Z#", "+91 {} 555 #####", "11|22|33|44|80",
             "Pvt. Ltd.|Ltd.|LLP", "Chennai|Hyderabad|Jaipur|Kochi|Pune"),
    _country("BE", 2, "fr/french", "be", "BE0#########", "+32 {} 555 ## ##", "2|3|4|9",
             "SRL|SA|SC", "Bruxelles|Charleroi|Liège|Mons|Namur"),
    _country("MX", 2, "es/spanish", "com.mx", "TEC######A##", "+52 {} 555 ####", "55|33|81|222",
             "S.A. de C.V.|S. de R.L. de C.V.|S.A.P.I. de C.V.", "Guadalajara|León|Mérida|Monterrey|Querétaro"),
    _country("JP", 2, "en/japanese", "co.jp", "T#############", "+81 {} 5550 ####", "3|6|52|92",
             "K.K.|G.K.|Co., Ltd.", "Fukuoka|Kobe|Nagoya|Sapporo|Sendai"),
    _country("AE", 1, "en/arabic", "ae", "###############", "+971 {} 555 ####", "2|4|6",
             "LLC|FZE|FZ-LLC|PJSC", "Abu Dhabi|Ajman|Dubai|Sharjah"),
    _country("NG", 1, "en/nigerian", "com.ng", "########-0001", "+234 {} 555 ####", "1|9|2",
             "Ltd|PLC|Ltd/Gte", "Abuja|Ibadan|Kano|Lagos"),
)  # fmt: skip

GIVEN: dict[str, tuple[str, ...]] = {
    "english": _words("Alice Amelia Charlotte Daniel Edward Ethan George Grace Hannah Harry Isla Jack James Laura Lily "
                     "Megan Noah Oliver Owen Ruth Samuel Sarah Sean Siobhán Sophie Thomas William Zoë"),
    "german": _words("Anja Birgit Björn Christian Dieter Elke Friederike Günter Hannes Heike Ingrid Jens Jörg Jürgen "
                    "Karin Katrin Lukas Markus Matthias Nadine Petra Rüdiger Sabine Stefan Susanne Sönke Uwe"),
    "french": _words("Amélie André Benoît Camille Céline Chloé Élodie Étienne François Gaëlle Hélène Jérôme Julien "
                    "Léa Luc Mathieu Mélanie Noël Océane Pascal Rémi Sylvie Thérèse Yves"),
    "spanish": _words("Adrián Álvaro Ana Andrés Beatriz Begoña Carlos Cristina Daniela Elena Fernando Inés Iván Javier "
                     "José Lucía Marta Miguel Núria Pablo Raúl Sofía Teresa Verónica"),
    "italian": _words("Alessandro Andrea Chiara Davide Elena Federica Francesco Giorgia Giulia Lorenzo Luca Marco "
                     "Martina Matteo Nicolò Paolo Roberta Sara Simone Valentina"),
    "dutch": _words("Anouk Bas Bram Daan Eline Femke Geert Hanneke Ilse Jeroen Joost Lotte Maarten Marijke Niels Pieter "
                   "Renée Sander Sanne Thijs Wouter"),
    "polish": _words("Agnieszka Andrzej Barbara Błażej Elżbieta Grzegorz Jacek Jakub Joanna Katarzyna Krzysztof Łukasz "
                    "Małgorzata Michał Paweł Piotr Rafał Stanisław Tomasz Wojciech Zofia"),
    "nordic": _words("Anders Åsa Astrid Björn Elin Erik Frida Håkan Henrik Ingrid Jörgen Karin Lars Linnéa Magnus Maja "
                    "Mikael Sigrid Sören Solveig Øyvind"),
    "indian": _words("Aarav Aditi Amit Ananya Arjun Deepa Divya Ishaan Kavya Kiran Lakshmi Manish Meera Neha Nikhil "
                    "Pooja Priya Rahul Rajesh Rohan Sanjay Shreya Sunita Vikram"),
    "japanese": _words("Aiko Akira Daichi Emi Haruka Haruto Hiroshi Kaori Kenji Mei Naoki Ren Sakura Satoshi Shōta "
                      "Sora Takumi Yūki Yui Yuko"),
    "arabic": _words("Ahmad Aisha Amina Bilal Dalia Farid Fatima Hana Hassan Huda Ibrahim Karim Layla Mahmoud Mariam "
                    "Noor Omar Rania Salma Samir Tariq Yusuf Zainab"),
    "nigerian": _words("Adaeze Adebayo Amaka Babatunde Chiamaka Chidi Chinedu Ebere Emeka Folake Funmi Ifeoma Kelechi "
                      "Ngozi Nneka Obinna Olumide Segun Tobi Uche Yetunde"),
}  # fmt: skip

FAMILY: dict[str, tuple[str, ...]] = {
    "english": _words("Ainsworth Barlow Blackwood Carver Dalton Easton Fairley Garrick Hale Ingram Kerr Lowell Marsh "
                     "Norcross O'Brien Pemberton Quigley Radcliffe Selby Thorne Underhill Vance Wetherby Yates"),
    "german": _words("Althaus Brückner Dörfler Eberhardt Fährmann Grünwald Hölzer Jäger Kästner Lindemann Möller "
                    "Nüßlein Oberländer Pfeiffer Rößler Schäfer Steinmetz Thümmler Uhlig Vogt Weiß Zöllner"),
    "french": _words("Aubert Beaufils Chevallier Delacroix Étienne Fournier Garçon Hébert Joly Lefèvre Marchand "
                    "Noël Pélissier Queneau Rousselle Sénéchal Thibault Vasseur"),
    "spanish": _words("Aguilar Bermúdez Castaño Domínguez Echeverría Fuentes Gálvez Herrera Ibáñez Lozano Márquez Núñez "
                     "Ordóñez Peña Quintana Rendón Sáez Urrutia Velázquez Zúñiga"),
    "italian": _words("Albertini Bellandi Caruso D'Angelo Esposito Ferri Gallo Lombardi Moretti Nardi Orlandi "
                     "Pellegrini Quaranta Ricciardi Santoro Tosi Vitali Zanetti"),
    "dutch": _words("Aalbers Brouwer Cuijpers Dijkstra Elzinga Feenstra Groot Hoekstra Jansma Kuiper Linders Meijer "
                   "Noordhoek Postma Rietveld Schouten Terpstra Veenstra Wiersma Zijlstra"),
    "polish": _words("Adamczyk Błaszczyk Cieślak Dąbek Gołąb Jabłoński Kaźmierczak Łuczak Mróz Nowicki Ostrowski "
                    "Pawłowski Rutkowski Sikora Świątek Tomczyk Wróbel Zając"),
    "nordic": _words("Ahlström Bergqvist Dahl Ekström Forsberg Grønvold Hagström Isaksson Jørgensen Kjær Lindqvist "
                    "Mårtensson Nygård Östberg Pålsson Rönnlund Sørensen Wikström"),
    "indian": _words("Acharya Banerjee Chauhan Deshpande Gopalan Iyer Joshi Kapoor Kulkarni Mehta Nair Patwardhan Rao "
                    "Saxena Srinivasan Thakur Venkatesan Yadav"),
    "japanese": _words("Arakawa Fujimori Hasegawa Inoue Kawaguchi Kōno Matsuda Nishimura Ōta Sakamoto Shimizu Takeda "
                      "Ueno Watanabe Yoshikawa"),
    "arabic": _words("Abdallah Al-Amin Barakat Darwish El-Sayed Farouk Ghanem Haddad Jaber Khalil Mansour Nasser "
                    "Qasim Rahman Saleh Tawfiq Zaki"),
    "nigerian": _words("Abiola Adeyemi Akintola Balogun Chukwu Eze Ibekwe Igwe Lawal Nwosu Obi Ogunleye Okafor "
                      "Okonkwo Olatunji Onyeka Uzoma"),
}  # fmt: skip

TITLES = (
    "Managing Director", "Chief Executive Officer", "Chief Financial Officer", "Chief Technology Officer",
    "Head of Procurement", "Procurement Manager", "Facilities Manager", "Operations Manager", "Plant Manager",
    "Project Manager", "IT Manager", "Head of Service", "Maintenance Lead", "Office Manager", "Controller", "Owner",
)  # fmt: skip

SIZES = (
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    15,
    18,
    22,
    28,
    35,
    45,
    60,
    80,
    110,
    150,
    220,
    320,
    480,
    750,
    1200,
    2400,
    6000,
    18000,
)
