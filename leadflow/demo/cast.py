"""Who appears in the demo: 140 companies and some 320 people from fifteen countries, all of them invented.

Every company's domain ends in `.example`, which belongs to nobody.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random

# Country, + first names, - last names, companies as `Name = domain without .example, industry`. The industries are the
# choices of company.fields.industry: m(anufacturing), s(oftware), r(etail), v for services, o(ther).
_COUNTRIES = """
Germany
+ Anke Björn Carsten Dörte Elke Florian Gesine Heiner Imke Jörg Katja Lutz Marlene Nadine Ole Petra Rüdiger Silke
+ Torben Uta
- Ackermann Böhme Brüggemann Dierks Eggers Färber Grünwald Hübner Jansen Köhler Lindemann Möller Nölke Oltmanns
- Petersen Röhrig Schäfer Thomsen Ulrich Würz
Brücknau Antriebstechnik GmbH = bruecknau-antriebe, m
Elbtal Messsysteme GmbH = elbtal-mess, m
Hansekai Logistik KG = hansekai, v
Lüneburger Glaswerkstatt GmbH = glaswerkstatt-lueneburg, m
Moorbach Maschinenbau GmbH = moorbach, m
Falkensee Software AG = falkensee-software, s
Ostwall Energieplanung GmbH = ostwall, v
Wiesengrund Naturkost eG = wiesengrund-naturkost, r
Dachsteiger Solartechnik GmbH = dachsteiger, m
Kranich Personalberatung GmbH = kranich-personal, v
Sieglinde Möbelhaus GmbH = sieglinde-moebel, r
Tannhof Medizintechnik GmbH = tannhof-medtech, m
Uferstein Immobilien AG = uferstein, v
Rheinbogen Verpackungen GmbH = rheinbogen, m
Bitfuchs Datendienste GmbH = bitfuchs, s
Lindwurm Sicherheitstechnik GmbH = lindwurm, m
Küstenwind Reederei GmbH = kuestenwind, v
Zwölfender Outdoor GmbH = zwoelfender, r

United Kingdom
+ Alistair Beatrice Callum Daphne Edmund Fiona Gareth Harriet Imogen Jasper Kirsty Lachlan Morag Nigel Olivia Piers
+ Rhiannon Stuart Tamsin Winifred
- Ashdown Birtwistle Cartwright Dunmore Eastwood Fairclough Greenhalgh Hargreaves Inglis Kettlewell Lockhart
- Merriweather Ogilvie Penrose Radcliffe Stanhope Thackeray Underhill Wainwright Yardley
Thistledown Textiles Ltd = thistledown, m
Copperbeck Brewing Co. = copperbeck, m
Marshgate Analytics Ltd = marshgate, s
Penhallow Marine Ltd = penhallow-marine, m
Foxglove Learning Ltd = foxglove-learning, s
Tollbridge Insurance Brokers = tollbridge, v
Harrowmoor Foods Ltd = harrowmoor, m
Quillfeather Publishing = quillfeather, o
Redkite Field Services Ltd = redkite-field, v
Saltmarsh Architects LLP = saltmarsh, v
Umberfold Ceramics Ltd = umberfold, m
Wychelm Payroll Ltd = wychelm-payroll, s
Larkrise Homeware Ltd = larkrise, r
Dunnock & Pike Ltd = dunnockpike, v
Ironbarrow Tools Ltd = ironbarrow, m
Bellwether Clinics Ltd = bellwether-clinics, o

Norway
+ Aslaug Bjarte Eirik Guro Håkon Ingvild Jorunn Kjetil Liv Mathilde Odd Ragnhild Sindre Tuva Øyvind
- Aasland Bakke Drageset Fagerli Grønås Hovland Kvamme Løvås Nygård Rønning Skogstad Tveit Ulvik Vågen Ødegård
Skarvøy Havbruk AS = skarvoy, m
Fonnatind Turutstyr AS = fonnatind, r
Kvitsand Subsea AS = kvitsand, m
Blåklokke Omsorg AS = blaklokke, o
Tindeby Programvare AS = tindeby, s
Ravnedal Trelast AS = ravnedal, m
Lysefoss Kraft AS = lysefoss, m
Havbris Ferger AS = havbris, v
Snøkrystall Mat AS = snokrystall, m
Bryggen Regnskap AS = bryggen-regnskap, v
Polarsti Reiser AS = polarsti, v
Elgtråkk Entreprenør AS = elgtrakk, m

Sweden
+ Agneta Börje Camilla Elsa Fredrik Gunilla Hedvig Isak Jonas Kerstin Ludvig Märta Nils Pontus Rebecka Signe Viktor
+ Åsa
- Almgren Blomqvist Dahlström Edlund Forsgren Göransson Hedberg Isaksson Källström Lindgård Mårtensson Norell
- Palmqvist Ryberg Sjöblom Törnqvist Wallin Åkesson
Björkvik Verktyg AB = bjorkvik, m
Norrskog Papper AB = norrskog, m
Sommarljus Inredning AB = sommarljus, r
Tallbacken System AB = tallbacken, s
Vättersten Bygg AB = vattersten, m
Lingonvägen Livs AB = lingonvagen, r
Glimmerö Data AB = glimmero, s
Havsörn Marin AB = havsorn, m
Klövergården Vård AB = klovergarden, o
Röda Stugan Resor AB = rodastugan, v
Isblink Kylteknik AB = isblink, m
Stigfinnare Rekrytering AB = stigfinnare, v

Netherlands
+ Annelies Bas Carlijn Dirk Esmee Floris Geertje Hidde Ilse Joris Karlijn Lotte Marijke Niels Pleun Ruben Sanne Teun
+ Wouter
- Achterberg Boonstra Dijkhuis Elzinga Groeneveld Hoekstra Kuipers Langendijk Meerman Noordhof Oosterveld Plantinga
- Roelofs Steenbergen Terpstra Veldkamp Wijnands Zijlstra
Polderlicht Energie BV = polderlicht, v
Grachtwerk Software BV = grachtwerk, s
Tulpenkade Export BV = tulpenkade, r
Zeewaard Baggerwerken BV = zeewaard, m
Molenvonk Techniek BV = molenvonk, m
Fietsenfabriek Duinrand BV = duinrand, m
Houtkamp Meubelen BV = houtkamp, m
Lakenhal Mode BV = lakenhal-mode, r
Scheepsbel Verzekeringen NV = scheepsbel, v
Waterlelie Zorg BV = waterlelie, o
Kaasmakerij Groenhof BV = groenhof-kaas, m
Reigershoek Advies BV = reigershoek, v

France
+ Aurélie Baptiste Céline Damien Élodie Fabrice Gaëlle Hervé Inès Jérôme Kévin Laëtitia Maëlle Noémie Océane Quentin
+ Romane Sébastien Thibault Yvette
- Aubertin Barrault Chauvière Delacourt Estève Fauconnier Guérin Hautecoeur Jolivet Kerbrat Laurency Maillard Noël
- Péricard Rousselin Sauvageot Tessier Verdonnet
Atelier Mirabelle SARL = atelier-mirabelle, r
Grand Chêne Ingénierie SAS = grandchene, v
Lavandière Cosmétiques SAS = lavandiere, m
Pont-Clair Logiciels SAS = pontclair, s
Bergerie du Vallon SARL = bergerieduvallon, m
Horizon Violet Médias SAS = horizonviolet, o
Rocamar Aéro SAS = rocamar, m
Cassonade Traiteur SARL = cassonade, v
Brume Marine SAS = brumemarine, m
Papillon Bleu Crèches SAS = papillonbleu, o
Tournesol Paie SAS = tournesol-paie, s
Vignes Hautes Négoce SARL = vigneshautes, r

Denmark
+ Asger Bodil Dorthe Esben Freja Gorm Hanne Jeppe Karoline Lærke Mads Nanna Palle Rikke Søren Trine
- Abildgaard Bruun Damsgaard Enevoldsen Frandsen Gammelgaard Højer Iversen Kjær Lauridsen Mølgaard Nørskov Overgaard
- Ravn Skovgaard Østerby
Havnestrøm Rederi A/S = havnestrom, v
Bøgeholm Møbler A/S = bogeholm, m
Klitvej Software ApS = klitvej, s
Mejeriet Solbakken A/S = solbakken-mejeri, m
Fuglsang Ventilation A/S = fuglsang-vent, m
Rugbrød & Co. ApS = rugbrodco, r
Sandormen Anlæg A/S = sandormen, m
Kystlys Klinikker ApS = kystlys, o

Spain
+ Álvaro Begoña Carlos Dolores Esteban Fátima Gonzalo Inmaculada Joaquín Lucía Marisol Nuria Óscar Pilar Rocío Xavier
- Arriaga Benavides Castañeda Dueñas Echevarría Figueroa Garmendia Ibáñez Lizarraga Montalbán Núñez Olmedo Peñalver
- Quiroga Saldaña Urrutia
Almendro Tech SL = almendro-tech, s
Puerto Nácar Logística SA = puertonacar, v
Cerámicas del Alba SL = ceramicasdelalba, m
Olivar Viejo SA = olivarviejo, m
Faro Rojo Turismo SL = farorojo, v
Siete Molinos Energía SA = sietemolinos, m
Librería Caracola SL = caracola, r
Tejidos Golondrina SL = golondrina, m

Italy
+ Agnese Bruno Chiara Davide Elisabetta Filippo Giacomo Ilaria Lorenzo Mariangela Niccolò Ornella Pietro Rosaria
+ Stefano Vittoria
- Albertazzi Bonfanti Cavallaro Dell'Orto Fumagalli Ghirardi Locatelli Mazzoleni Nardelli Orsini Pellegrino Quaranta
- Rinaldini Santoro Tosetti Zambelli
Officine Ventura SpA = officine-ventura, m
Cantina Lunaria Srl = cantinalunaria, m
Nuvolato Software Srl = nuvolato, s
Pietrachiara Marmi Srl = pietrachiara, m
Velluto Rosso Arredi Srl = vellutorosso, r
Ortobello Conserve SpA = ortobello, m
Studio Farfalla Srl = studiofarfalla, v
Ponte Nove Trasporti Srl = pontenove, v

Poland
+ Agnieszka Bartosz Czesława Dorota Emilia Grzegorz Halina Iwona Jędrzej Kinga Łukasz Małgorzata Norbert Paweł
+ Stanisław Żaneta
- Adamczewska Borkowski Ciesielski Dąbek Frączak Górecki Jasińska Krzemień Leśniak Morawska Niedzielski Ostrowska
- Piątek Rybicki Szczepańska Żurawski
Bursztynowa Zatoka Sp. z o.o. = bursztynowa, r
Dębowy Most Budowa SA = debowymost, m
Żagiel Transport Sp. z o.o. = zagiel-transport, v
Kolibri Systemy Sp. z o.o. = kolibri-systemy, s
Młyn Północny SA = mlynpolnocny, m
Jarzębina Kosmetyki Sp. z o.o. = jarzebina, m
Wiatrak Energia SA = wiatrak-energia, m
Sowa i Partnerzy Sp. k. = sowapartnerzy, v
Rękodzieło Tkaniny Sp. z o.o. = rekodzielo, m

Finland
+ Aino Eero Hilkka Ilmari Juhani Kaisa Lauri Mirja Outi Päivi Risto Seija Tapio Väinö
- Aaltonen Heikkilä Jokela Kettunen Lehtola Mäkinen Niskanen Ojala Peltoniemi Rautio Saarela Tuominen Vainio Ylönen
Revontuli Ohjelmistot Oy = revontuli, s
Karhunpolku Matkailu Oy = karhunpolku, v
Hopeajärvi Sellu Oy = hopeajarvi, m
Kuusisaari Telakka Oy = kuusisaari, m
Marjamäki Elintarvike Oy = marjamaki, m
Talvitie Rakennus Oy = talvitie, m

Czechia
+ Bohumil Dana Eliška František Hana Jiří Kateřina Lubomír Markéta Ondřej Růžena Šimon Tereza Zdeněk
- Bartůněk Čermáková Dobiáš Havlíček Janoušková Kolářová Machala Nekvasil Polívka Řezníček Sklenář Štěpánková Urbánek
- Žižka
Jantarová Sklárna s.r.o. = jantarova-sklarna, m
Modrá Liška Software s.r.o. = modraliska, s
Kamenný Potok Strojírny a.s. = kamennypotok, m
Pivovar Sedm Lip a.s. = sedmlip, m
Letokruh Nábytek s.r.o. = letokruh, m

Portugal
+ Amália Bernardo Conceição Duarte Filipa Gonçalo Inês João Leonor Mafalda Nuno Rita Simão Tomé
- Abrantes Brandão Carvalhal Espírito Falcão Guimarães Lencastre Magalhães Nogueira Parreira Queirós Sepúlveda
- Teixeira Vilarinho
Azulejaria Maré Alta Lda = marealta, m
Cortiça Serena SA = corticaserena, m
Farol Azul Viagens Lda = farolazul, v
Gaivota Digital Lda = gaivota-digital, s
Quinta do Zimbro SA = quintadozimbro, m

Ireland
+ Aoife Brendan Ciara Declan Eimear Fergal Gráinne Niamh Oisín Pádraig Róisín Saoirse Tadhg Úna
- Brannigan Costigan Devaney Fallon Geraghty Hanrahan Kinsella Lafferty McGonagle Mulrooney O'Halloran Quigley Scanlon
- Tierney
Claddaghmore Seafoods Ltd = claddaghmore, m
Bogcotton Software Ltd = bogcotton, s
Glenfinch Pharma Ltd = glenfinch, m
Tidefinch Aquaculture Ltd = tidefinch, m
Round Tower Lettings Ltd = roundtower, v

Türkiye
+ Aylin Burak Canan Deniz Emre Figen Gökhan Hülya İlker Jale Kerem Leyla Mehmet Nazlı Özgür Selin Tuğba Yiğit
- Akıncı Bozdağ Çelikel Demirtaş Erdoğmuş Gündüz Işıklar Karaca Özkaynak Pekcan Sarıoğlu Şimşekli Tekin Uçar
- Yıldırımer
Mavi Çınar Tekstil A.Ş. = mavicinar, m
Güvercin Yazılım Ltd. = guvercin, s
Kıyıbaşı Lojistik A.Ş. = kiyibasi, v
Nar Bahçesi Gıda A.Ş. = narbahcesi, m

Elsewhere
+ Adaeze Amir Ananya Chidi Dalia Farid Giang Haruki Jae-won Kwame Layla Linh Mei Nadia Ngozi Omar Priya Ravi Samira
+ Thandiwe Wei Yuki Zanele
- Abubakar Banerjee Chaudhry Diallo El-Sayed Fernando Haddad Iyer Kamau Le Mbeki Nakamura Nguyen Okonkwo Park Rahimi
- Sato Tan Venkatesan Wu Yamada Zhang
"""

# A quarter of all people have a name from elsewhere, as everywhere.
_FROM_ELSEWHERE = 0.25

_INDUSTRIES = {"m": "manufacturing", "s": "software", "r": "retail", "v": "services", "o": "other"}
_JOB_TITLES = """Head of Sales | Marketing Manager | Managing Director | Sales Operations Lead | IT Manager
CRM Manager | Customer Success Lead | Business Development Manager | Chief Operating Officer | Digital Project Manager
Account Executive | Office Manager | Head of Marketing | Data Analyst""".replace("\n", " | ").split(" | ")

_FREE_MAIL = ("gmail.com", "outlook.com", "gmx.de", "web.de", "yahoo.com", "icloud.com", "proton.me", "orange.fr")

# Letters with no plain letter inside them, and what Germans write for theirs.
_SPELT = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "ł": "l", "ı": "i"})
_SPELT_IN_GERMAN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who fills forms."""

    first_name: str
    last_name: str
    email: str
    job_title: str
    country: str


@dataclass(frozen=True, slots=True)
class Firm:
    """A company of the demo with its people; the first is the one who buys."""

    name: str
    domain: str
    industry: str
    country: str
    people: tuple[Person, ...]


@dataclass(frozen=True, slots=True)
class _Country:
    name: str
    first_names: list[str]
    last_names: list[str]
    companies: list[str]


def invite_firms(chance: Random) -> list[Firm]:
    """All companies with their people, in random order; how many people follows from the number of companies."""
    entries = [(country, line) for country in _countries() for line in country.companies]
    chance.shuffle(entries)
    sizes = _shares(len(entries), {1: 0.32, 2: 0.36, 3: 0.21, 4: 0.11})
    chance.shuffle(sizes)
    return [_firm(chance, country, line, size) for (country, line), size in zip(entries, sizes, strict=True)]


def invite_private_people(chance: Random, count: int) -> list[Person]:
    """People who write from free-mail addresses, so no company is known. The local part says that nobody is meant."""
    countries = _countries()[:-1]
    people: dict[str, Person] = {}
    while len(people) < count:
        country = chance.choice(countries)
        first, last = _name(chance, country)
        email = f"{_address_name(first, last, country)}.example@{chance.choice(_FREE_MAIL)}"
        people[email] = Person(first, last, email, "", country.name)
    return list(people.values())


@cache
def _countries() -> list[_Country]:
    return [_country(block.splitlines()) for block in _COUNTRIES.strip().split("\n\n")]


def _country(lines: list[str]) -> _Country:
    first, last = (" ".join(line[2:] for line in lines if line.startswith(mark)).split() for mark in "+-")
    return _Country(lines[0], first, last, [line for line in lines if " = " in line])


def _shares(count: int, weights: Mapping[int, float]) -> list[int]:
    """`count` values that occur as often as their weights say; what rounding leaves over is the first one."""
    values = [value for value, weight in weights.items() for _ in range(int(count * weight))]
    return [next(iter(weights))] * (count - len(values)) + values


def _firm(chance: Random, country: _Country, line: str, size: int) -> Firm:
    name, _, rest = line.partition(" = ")
    host, _, industry = rest.partition(", ")
    domain = f"{host}.example"
    people: dict[str, Person] = {}
    while len(people) < size:
        first, last = _name(chance, country)
        email = f"{_address_name(first, last, country)}@{domain}"
        people[email] = Person(first, last, email, chance.choice(_JOB_TITLES), country.name)
    return Firm(name, domain, _INDUSTRIES[industry], country.name, tuple(people.values()))


def _name(chance: Random, country: _Country) -> tuple[str, str]:
    origin = _countries()[-1] if chance.random() < _FROM_ELSEWHERE else country
    return chance.choice(origin.first_names), chance.choice(origin.last_names)


def _address_name(first: str, last: str, country: _Country) -> str:
    """`jorg.moller`, in Germany `joerg.moeller`."""
    return ".".join(_spell(name.lower(), is_german=country.name == "Germany") for name in (first, last))


def _spell(name: str, is_german: bool) -> str:
    spelt = name.translate(_SPELT_IN_GERMAN) if is_german else name
    letters = unicodedata.normalize("NFKD", spelt.translate(_SPELT))
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha())
