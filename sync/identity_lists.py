"""Word and host lists that decide which evidence counts. They are part of the rule set: see ``VERSION``.

The lists are text in the code, not files read at run time, so that one release always decides alike. Changing any of
them changes decisions about money: raise ``VERSION`` with the change.
"""

VERSION = "2026.2"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _in_order(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(line.split()) for line in text.strip().splitlines())


# Legal forms of one word. The longer ones follow ISO 20275 and usual misspellings. Of the short ones only these count:
# published lists hold "ii", "in", "is", "at" and "na" too, and "Fund II" is not "Fund". Nor do words stand here that
# tell a foundation or a club from the company it is named after ("stiftung", "verein", "charity", "unlimited").
LEGAL_FORMS = _words("""
    ab abp ag aps as asa asbl bhd bv bvba cjsc co corp cv cvba cyf dmcc doel doo dooel eeig ehf eirl eood eurl fmba
    fze fzco fzllc gbr gie gmbh hf hmbh inc incs ivs jdoo jsc jscb kda kft kg kgaa kk kkt ks lda lllp llc
    llcs llp lmtd lp ltd ltda ltds mbb mbh nv oao ohg ojsc ood ooo ou oy oyj pao pjsc plc pllc pte pty pvt rt sa saoc
    saog sapi sarl sas sasu sau scpa sdn se sia sl sll slu snc sp spa sprl spzoo sro srl srls sti tbk ug uab ultd vof
    vos vzw yk zao zrt aktg haftungsbeschrankt ek eg hb kb klg og gk gte nyrt kht tmi ky ay senc scrl eireli epp shpk
    ans nuf ehf ooo оао ооо зао пао ао тоо тов тдв пат прат чао чп фоп оод еоод ад ип
    αε επε εε company corporation corporacion incorporated incorporation limited limitada limitied ltee limitee aktiengesellschaft
    gesellschaft aktiebolag aktieselskab anpartsselskab aksjeselskap osakeyhtio perseroan
    adsic adsitz aisbl aktienges aktiengeselschaft aktieselskabet aktsiaselts andelslag berhad coltd cyfyngedig
    genossenschaft gesbr gesmbh ggmbh gmbhs incorp incorporado incorporatd incorported interessentskab
    kommanditbolag kommanditerwerbsgesellschaft kommanditgesellschaft kommanditselskab kommunalunternehmen limitd
    limite limted nichtregierungsorganisation nonprofit oiminimi oscip osuuskunta partg partgmbb partmbb
    partnerschaft partnerschaftsgesellschaft partnerselskab pjscb preduzetnik sadecv sicaf sicav sirketi
    staatsinformatieagentschap staatskonzern suarl unltd unternehmergesellschaft yuhanhoesa адсиц гаусо гбскоу
    госнии гскоу лимитед лімітед мбдоу ноудо огкоу оносс пкооп попрз предузетник фгбдоу фгдоу фгквоу المحدودة
    ኮርፖሬሽን 有限責任事業組合
""")

# Legal forms of several words, after dots between single letters are gone ("s.p.a." is "spa", "s p a" stays apart).
LEGAL_PHRASES = _phrases("""
    limited liability company
    limited liability partnership
    limited liability limited partnership
    public limited company
    private limited company
    joint stock company
    private limited
    i pvt
    i private limited
    co operative society
    sp z oo
    sp zoo
    sp z o o
    spolka z oo
    spolka akcyjna
    sociedad anonima
    sociedade anonima
    societe anonyme
    societa per azioni
    naamloze vennootschap
    besloten vennootschap
    sa de cv
    s de rl de cv
    sapi de cv
    de cv
    de rl
    ltd gte
    fz llc
    s coop
    sp k
    sp j
    cia ltda
    s a r l
    s a s
    v o f
    sh p k
    s e n c
    s a
    a s
    e k
    c v
    k g
    a g
    n v
    b v
    s l
    s p a
    s r l
    s r o
    d o o
    k k
    e v
    k s
    pte ltd
    and co
    and company
    and cie
    and cia
    et cie
    y cia
    e cia
    und co
""")

# Legal forms that stand before the name. Short: "AS Roma" and "SAS Institute" must keep their first word.
LEADING_FORMS = _words("""
    ооо оао зао пао ао тоо тов тдв пат прат чао чп фоп ип ooo oao zao pao tov uab pt gmbh
""")

# Chinese, Japanese and Korean forms are written against the name without a space, before or after it. Longest first.
ATTACHED_FORMS = _in_order("""
    股份有限责任公司 有限责任公司 股份有限公司 有限公司 集团公司 公司 株式会社 有限会社 合同会社 合資会社 合名会社 (株) (有) (同)
    주식회사 유한회사 (주) (유)
""")

# Words that are left off the end of a name because their presence or absence does not make another prospect.
# Two names that end in different ones of these ("Acme Group", "Acme International") are still told apart.
GENERIC = _words("""
    group groupe grupo gruppo gruppe grup holding holdings international intl internacional internationale global
    worldwide enterprise enterprises ventures
""")
LEADING_GENERIC = _words("the groupe grupo gruppo")
ARTICLES = _words("the")

# Words too common to point to one company. They stay in the name but never tie two names alone.
COMMON = (
    GENERIC
    | _words("""
    a an and of for in the de la le les du des der die das und et y e da do di del
    agency analytics app applications apps associates association automotive bank biotech bros brothers building
    business capital care center centre chemical chemicals city cloud club college com commerce communication
    communications community computer computers computing construction consultancy consultants consulting consumer
    corporate council creative credit data design devices development digital distribution east education electric
    electrical electronic electronics energy engineering enterprise entertainment equipment events express factory farm
    farms finance financial first fitness food foods foundation fund games general gov government green hardware
    health healthcare home hospital hotel hotels house hr industrial industries industry information infotech
    innovation innovations institute insurance interactive internet investment investments io it lab laboratories
    laboratory labs law learning legal life logistics machine management manufacturing marine market marketing
    materials media medical metal metals mobile motors national net network networking networks new north office
    oil online org partners partnership petroleum pharma pharmaceutical pharmaceuticals plastics platform power
    print printing product products production productions professional project properties property public
    real estate research resources restaurant retail robotics sales school science sciences scientific security
    semiconductor service services shop smart society soft software solar solution solutions south space sports
    state staffing steel storage store stores studio studios supplies supply support system systems tech technical
    technologies technology telecom telecommunication telecommunications telecoms textiles tools toys trade trading training
    transport transportation travel trust united university universal usa utilities video water web west wireless works world
""")
    | _words("""
    africa america americas american argentina asia asian australia austria bangladesh belgium brasil brazil british
    bulgaria canada chile china chinese colombia croatia czech czechia denmark deutsche deutschland dubai egypt england
    espana estonia eu europe european finland france german germany ghana greece hong kong hungary iceland india indian
    indonesia ireland israel italia italy japan japanese kenya korea latam latvia lithuania london malaysia mexico
    morocco nederland netherlands newyork nigeria norway osterreich pakistan peru philippines poland polska portugal
    qatar romania russia saudi scotland serbia singapore slovakia slovenia spain suisse sweden swiss switzerland
    taiwan thailand turkey turkiye ukraine uae uk us vietnam wales york
""")
)

# Mailboxes that anyone may open, consumer access providers, throw-away mail. "name.*" stands for every known top-level
# domain (also "co.uk"), but not for an invented one.
FREE_MAIL = _words("""
    gmail.com googlemail.com google.com outlook.* hotmail.* live.com live.co.uk live.fr live.nl live.de live.it live.ca live.se live.com.au live.be live.dk live.no msn.com passport.com yahoo.* ymail.com rocketmail.com
    icloud.com me.com mac.com aol.* aim.com gmx.* web.de freenet.de t-online.de arcor.de mail.de posteo.* email.de
    mail.com email.com usa.com post.com consultant.com europe.com mail.ru list.ru bk.ru inbox.ru internet.ru rambler.ru
    yandex.* ya.ru ukr.net i.ua meta.ua tut.by inbox.lv proton.me protonmail.* pm.me tutanota.* tuta.io tutamail.com
    fastmail.* hey.com hushmail.com zoho.com zohomail.com duck.com runbox.com mailbox.org riseup.net disroot.org
    startmail.com skiff.com simplelogin.com qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sina.com.cn sohu.com aliyun.com
    139.com 189.cn 21cn.com tom.com naver.com daum.net hanmail.net nate.com kakao.com docomo.ne.jp ezweb.ne.jp
    softbank.ne.jp nifty.com rediffmail.com indiatimes.com sify.com comcast.net xfinity.com verizon.net att.net
    sbcglobal.net bellsouth.net pacbell.net ameritech.net charter.net cox.net earthlink.net juno.com netzero.* optonline.net
    roadrunner.com rr.com windstream.net frontier.com frontiernet.net centurylink.net centurytel.net embarqmail.com
    q.com shaw.ca rogers.com sympatico.ca telus.net videotron.ca bell.net btinternet.com btopenworld.com
    talktalk.net tiscali.* ntlworld.com virginmedia.com blueyonder.co.uk sky.com plusnet.com plus.com orange.fr orange.net wanadoo.*
    free.fr laposte.net sfr.fr neuf.fr bbox.fr numericable.fr club-internet.fr libero.it virgilio.it alice.it tin.it
    inwind.it iol.it fastwebnet.it telefonica.net terra.com terra.com.br terra.es ono.com skynet.be telenet.be proximus.be ziggo.nl kpnmail.nl
    kpnplanet.nl planet.nl hetnet.nl home.nl casema.nl xs4all.nl upcmail.nl bluewin.ch hispeed.ch sunrise.ch aon.at
    chello.* telia.com spray.se comhem.se bredband.net online.no broadpark.no tdcadsl.dk jubii.dk elisanet.fi kolumbus.fi
    luukku.com wp.pl o2.pl onet.pl onet.eu op.pl interia.pl interia.eu poczta.onet.pl tlen.pl gazeta.pl vp.pl
    seznam.cz email.cz centrum.cz centrum.sk atlas.cz volny.cz post.cz azet.sk zoznam.sk abv.bg mail.bg freemail.hu
    citromail.hu t-online.hu yahoomail.com uol.com.br bol.com.br ig.com.br globo.com globomail.com hotmail.com.br
    bigpond.com bigpond.net.au optusnet.com.au iinet.net.au tpg.com.au internode.on.net xtra.co.nz slingshot.co.nz
    mweb.co.za telkomsa.net vodamail.co.za webmail.co.za walla.co.il walla.com 012.net.il netvision.net.il
    singnet.com.sg pchome.com.tw hinet.net mailinator.com guerrillamail.* 10minutemail.* tempmail.* temp-mail.*
    yopmail.* trashmail.* sharklasers.com dispostable.com getnada.com maildrop.cc throwawaymail.com
""")

# Hosts where many companies share one registrable domain and the path (or a label that the public suffix list does
# not know) tells them apart: networks, shop and site builders, directories, marketplaces, investor pages, shorteners.
SHARED_HOSTS = _words("""
    facebook.com fb.com fb.me m.me instagram.com threads.net twitter.com x.com t.co linkedin.com lnkd.in xing.com youtube.com youtu.be
    tiktok.com pinterest.* reddit.com tumblr.com vk.com ok.ru weibo.com weixin.qq.com wechat.com wa.me whatsapp.com t.me telegram.me telegram.org
    discord.gg discord.com slack.com line.me viber.com snapchat.com medium.com substack.com quora.com behance.net
    dribbble.com deviantart.com soundcloud.com vimeo.com flickr.com meetup.com eventbrite.com about.me linktr.ee
    bio.link beacons.ai carrd.co campsite.bio taplink.cc google.com goo.gl g.page withgoogle.com
    apple.com microsoft.com sharepoint.com office.com live.com windows.net azurewebsites.net amazonaws.com amazon.*
    github.com gitlab.com bitbucket.org sourceforge.net wordpress.com wordpress.org wix.com editorx.com squarespace.com weebly.com jimdo.com jimdofree.com
    webnode.com strikingly.com godaddysites.com godaddy.com yolasite.com site123.me ucraft.net tilda.ws
    webflow.io webflow.com framer.website framer.site notion.so notion.site coda.io airtable.com typepad.com livejournal.com
    over-blog.com canalblog.com e-monsite.com business.site site.com bigcartel.com shopify.com myshopify.com storenvy.com ecwid.com
    tictail.com gumroad.com etsy.com ebay.* alibaba.com aliexpress.com 1688.com taobao.com tmall.com made-in-china.com
    globalsources.com indiamart.com tradeindia.com exportersindia.com ec21.com ecplaza.net tradekey.com rakuten.co.jp mercadolibre.com mercadolivre.com.br
    yelp.* tripadvisor.* foursquare.com yellowpages.com yell.com gelbeseiten.de paginegialle.it pagesjaunes.fr
    justdial.com sulekha.com crunchbase.com pitchbook.com zoominfo.com apollo.io bloomberg.com dnb.com opencorporates.com
    northdata.com companycheck.co.uk glassdoor.* indeed.* kununu.com angel.co wellfound.com producthunt.com
    clutch.co g2.com trustpilot.com capterra.com upwork.com fiverr.com freelancer.com wikipedia.org wikidata.org
    etnet.com.hk todayir.com tricor.com.hk irasia.com hkexnews.hk investis.com bit.ly tinyurl.com ow.ly is.gd buff.ly
    rebrand.ly cutt.ly shorturl.at tiny.cc dropbox.com docs.com scribd.com issuu.com slideshare.net archive.org
    hubspot.com hubspotpagebuilder.com zendesk.com freshdesk.com salesforce.com force.com zohosites.com mailchimp.com mailchi.mp
    typeform.com surveymonkey.com calendly.com
""")

# Reserved for documentation (RFC 2606): what people type when they have no address. As a website it counts; as the
# host of an e-mail address it says nothing.
PLACEHOLDER_MAIL = _words("example.com example.net example.org")

# Names that mean a machine inside somebody's network, never a company.
LOCAL_SUFFIXES = _words("localhost local localdomain internal intranet lan home corp arpa onion invalid")

# Numbers that people type when they have none to give. Equal ones tie two companies only if something else agrees.
PLACEHOLDER_NUMBERS = _words("12345 123456 1234567 12345678 123456789 1234567890 0123456789 123123123 987654321")

# Prefixes of value added tax numbers: the European Union and its neighbours that use the same style.
VAT_PREFIXES = _words("""
    AT BE BG CY CZ DE DK EE EL ES FI FR GB GR HR HU IE IT LT LU LV MT NL NO PL PT RO SE SI SK XI CH
""")
