"""Countries as people write them, to ISO 3166-1 codes. Part of the rule set: see ``sync.identity_lists.VERSION``.

Source: ISO 3166-1 (codes), English names, and other usual names of the larger ones.
"""

_CODES = """
    AC ASC Ascension Island | AD AND Andorra | AE ARE United Arab Emirates | AF AFG Afghanistan
    AG ATG Antigua and Barbuda | AI AIA Anguilla | AL ALB Albania | AM ARM Armenia | AO AGO Angola
    AQ ATA Antarctica | AR ARG Argentina | AS ASM American Samoa | AT AUT Austria | AU AUS Australia | AW ABW Aruba
    AX ALA Åland Islands | AZ AZE Azerbaijan | BA BIH Bosnia and Herzegovina | BB BRB Barbados | BD BGD Bangladesh
    BE BEL Belgium | BF BFA Burkina Faso | BG BGR Bulgaria | BH BHR Bahrain | BI BDI Burundi | BJ BEN Benin
    BL BLM Saint Barthélemy | BM BMU Bermuda | BN BRN Brunei | BO BOL Bolivia
    BQ BES Bonaire, Sint Eustatius and Saba | BR BRA Brazil | BS BHS Bahamas | BT BTN Bhutan | BV BVT Bouvet Island
    BW BWA Botswana | BY BLR Belarus | BZ BLZ Belize | CA CAN Canada | CC CCK Cocos (Keeling) Islands
    CD COD DR Congo | CF CAF Central African Republic | CG COG Congo-Brazzaville | CH CHE Switzerland
    CI CIV Côte d'Ivoire | CK COK Cook Islands | CL CHL Chile | CM CMR Cameroon | CN CHN China | CO COL Colombia
    CP CPT Clipperton Island | CQ CRQ Sark | CR CRI Costa Rica | CU CUB Cuba | CV CPV Cape Verde | CW CUW Curaçao
    CX CXR Christmas Island | CY CYP Cyprus | CZ CZE Czechia | DE DEU Germany | DG DGA Diego Garcia | DJ DJI Djibouti
    DK DNK Denmark | DM DMA Dominica | DO DOM Dominican Republic | DZ DZA Algeria | EC ECU Ecuador | EE EST Estonia
    EG EGY Egypt | EH ESH Western Sahara | ER ERI Eritrea | ES ESP Spain | ET ETH Ethiopia | FI FIN Finland
    FJ FJI Fiji | FK FLK Falkland Islands | FM FSM Micronesia | FO FRO Faroe Islands | FR FRA France | GA GAB Gabon
    GB GBR United Kingdom | GD GRD Grenada | GE GEO Georgia | GF GUF French Guiana | GG GGY Guernsey | GH GHA Ghana
    GI GIB Gibraltar | GL GRL Greenland | GM GMB Gambia | GN GIN Guinea | GP GLP Guadeloupe
    GQ GNQ Equatorial Guinea | GR GRC Greece | GS SGS South Georgia and the South Sandwich Islands | GT GTM Guatemala
    GU GUM Guam | GW GNB Guinea-Bissau | GY GUY Guyana | HK HKG Hong Kong SAR | HM HMD Heard and McDonald Islands
    HN HND Honduras | HR HRV Croatia | HT HTI Haiti | HU HUN Hungary | ID IDN Indonesia | IE IRL Ireland
    IL ISR Israel | IM IMN Isle of Man | IN IND India | IO IOT British Indian Ocean Territory | IP CYB Cyberspace
    IQ IRQ Iraq | IR IRN Iran | IS ISL Iceland | IT ITA Italy | JE JEY Jersey | JM JAM Jamaica | JO JOR Jordan
    JP JPN Japan | KE KEN Kenya | KG KGZ Kyrgyzstan | KH KHM Cambodia | KI KIR Kiribati | KM COM Comoros
    KN KNA Saint Kitts and Nevis | KP PRK North Korea | KR KOR South Korea | KW KWT Kuwait | KY CYM Cayman Islands
    KZ KAZ Kazakhstan | LA LAO Laos | LB LBN Lebanon | LC LCA Saint Lucia | LI LIE Liechtenstein | LK LKA Sri Lanka
    LR LBR Liberia | LS LSO Lesotho | LT LTU Lithuania | LU LUX Luxembourg | LV LVA Latvia | LY LBY Libya
    MA MAR Morocco | MC MCO Monaco | MD MDA Moldova | ME MNE Montenegro | MF MAF Saint Martin | MG MDG Madagascar
    MH MHL Marshall Islands | MK MKD North Macedonia | ML MLI Mali | MM MMR Myanmar | MN MNG Mongolia
    MO MAC Macao SAR | MP MNP Northern Mariana Islands | MQ MTQ Martinique | MR MRT Mauritania | MS MSR Montserrat
    MT MLT Malta | MU MUS Mauritius | MV MDV Maldives | MW MWI Malawi | MX MEX Mexico | MY MYS Malaysia
    MZ MOZ Mozambique | NA NAM Namibia | NC NCL New Caledonia | NE NER Niger | NF NFK Norfolk Island | NG NGA Nigeria
    NI NIC Nicaragua | NL NLD Netherlands | NO NOR Norway | NP NPL Nepal | NR NRU Naoero | NU NIU Niue
    NZ NZL New Zealand | OM OMN Oman | PA PAN Panama | PE PER Peru | PF PYF French Polynesia
    PG PNG Papua New Guinea | PH PHL Philippines | PK PAK Pakistan | PL POL Poland | PM SPM Saint Pierre and Miquelon
    PN PCN Pitcairn | PR PRI Puerto Rico | PS PSE Palestine | PT PRT Portugal | PW PLW Palau | PY PRY Paraguay
    QA QAT Qatar | RE REU Réunion | RO ROU Romania | RS SRB Serbia | RU RUS Russia | RW RWA Rwanda
    SA SAU Saudi Arabia | SB SLB Solomon Islands | SC SYC Seychelles | SD SDN Sudan | SE SWE Sweden
    SG SGP Singapore | SH SHN Saint Helena, Ascension and Tristan da Cunha | SI SVN Slovenia
    SJ SJM Svalbard and Jan Mayen | SK SVK Slovakia | SL SLE Sierra Leone | SM SMR San Marino | SN SEN Senegal
    SO SOM Somalia | SR SUR Suriname | SS SSD South Sudan | ST STP São Tomé and Príncipe | SV SLV El Salvador
    SX SXM Sint Maarten | SY SYR Syria | SZ SWZ Eswatini | TC TCA Turks and Caicos Islands | TD TCD Chad
    TF ATF French Southern Territories | TG TGO Togo | TH THA Thailand | TJ TJK Tajikistan | TK TKL Tokelau
    TL TLS Timor-Leste | TM TKM Turkmenistan | TN TUN Tunisia | TO TON Tonga | TR TUR Türkiye
    TT TTO Trinidad and Tobago | TV TUV Tuvalu | TW TWN Taiwan | TZ TZA Tanzania | UA UKR Ukraine | UG UGA Uganda
    UM UMI U.S. Outlying Islands | US USA United States | UY URY Uruguay | UZ UZB Uzbekistan | VA VAT Holy See
    VC VCT Saint Vincent and the Grenadines | VE VEN Venezuela | VG VGB British Virgin Islands
    VI VIR U.S. Virgin Islands | VN VNM Vietnam | VU VUT Vanuatu | WF WLF Wallis and Futuna | WS WSM Samoa
    XK XKX Kosovo | YE YEM Yemen | YT MYT Mayotte | ZA ZAF South Africa | ZM ZMB Zambia | ZW ZWE Zimbabwe
"""

_OTHER_NAMES = """
    HK Hong Kong | MO Macau | MO Macao
    US United States of America | US America | GB UK | GB Great Britain | GB England | GB Scotland | GB Wales
    GB Northern Ireland | DE Deutschland | AT Österreich | CH Schweiz | CH Suisse | CH Svizzera | FR La France
    ES España | IT Italia | NL Holland | NL Nederland | BE Belgique | BE België | SE Sverige | NO Norge | DK Danmark
    FI Suomi | PL Polska | CZ Czech Republic | CZ Česko | CZ Česká republika | SK Slovensko | HU Magyarország
    RO România | GR EL | GR Hellas | TR Turkey | RU Russian Federation | BR Brasil | MX México | KR Korea
    KR Republic of Korea | VN Viet Nam | AE UAE | AE Emirates | CN PR China | CN People's Republic of China
    CN Mainland China | CI Ivory Coast | MK Macedonia | SZ Swaziland | MM Burma | IE Éire
"""


def _entries(text: str) -> list[list[str]]:
    return [entry.split() for line in text.strip().splitlines() for entry in line.split("|") if entry.strip()]


def _key(name: str) -> str:
    words = "".join(c for c in name.casefold() if c.isalnum() or c == " ").split()
    return " ".join(words[1:] if words[:1] == ["the"] else words)


_CODE_OF = {
    **{_key(" ".join(name)): code for code, *name in _entries(_OTHER_NAMES)},
    **{_key(" ".join(name)): code for code, _, *name in _entries(_CODES)},
    **{alpha3.casefold(): code for code, alpha3, *_ in _entries(_CODES)},
    **{code.casefold(): code for code, *_ in _entries(_CODES)},
}


def country_code(name: str) -> str | None:
    """The two-letter code of "de", "DEU", "Germany", "the Netherlands", "U.S."; None when it is not known."""
    return _CODE_OF.get(_key(name))
