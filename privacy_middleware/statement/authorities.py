"""Data protection authorities by country, where people can complain (GDPR art. 77).

Source: the lists of the European Data Protection Board and of the European Free Trade Association's members, the ICO of the United
Kingdom, and the FDPIC of Switzerland; as of 2026. A test checks that each is an https address.
"""

from __future__ import annotations

from typing import Final, NamedTuple

ALL: Final = "https://www.edpb.europa.eu/about-edpb/about-edpb/members_en"


class Authority(NamedTuple):
    """An authority: its name in its own language, and its website."""

    name: str
    url: str


AUTHORITIES: Final = {
    "AT": Authority("Österreichische Datenschutzbehörde", "https://www.dsb.gv.at"),
    "BE": Authority("Autorité de protection des données / Gegevensbeschermingsautoriteit", "https://www.dataprotectionauthority.be"),
    "BG": Authority("Комисия за защита на личните данни", "https://www.cpdp.bg"),
    "CH": Authority("Eidgenössischer Datenschutz- und Öffentlichkeitsbeauftragter (EDÖB)", "https://www.edoeb.admin.ch"),
    "CY": Authority("Γραφείο Επιτρόπου Προστασίας Δεδομένων Προσωπικού Χαρακτήρα", "https://www.dataprotection.gov.cy"),
    "CZ": Authority("Úřad pro ochranu osobních údajů", "https://uoou.gov.cz"),
    "DE": Authority("Die Bundesbeauftragte für den Datenschutz und die Informationsfreiheit (BfDI)", "https://www.bfdi.bund.de"),
    "DK": Authority("Datatilsynet", "https://www.datatilsynet.dk"),
    "EE": Authority("Andmekaitse Inspektsioon", "https://www.aki.ee"),
    "ES": Authority("Agencia Española de Protección de Datos (AEPD)", "https://www.aepd.es"),
    "FI": Authority("Tietosuojavaltuutetun toimisto", "https://tietosuoja.fi"),
    "FR": Authority("Commission nationale de l'informatique et des libertés (CNIL)", "https://www.cnil.fr"),
    "GB": Authority("Information Commissioner's Office (ICO)", "https://ico.org.uk"),
    "GR": Authority("Αρχή Προστασίας Δεδομένων Προσωπικού Χαρακτήρα", "https://www.dpa.gr"),
    "HR": Authority("Agencija za zaštitu osobnih podataka", "https://azop.hr"),
    "HU": Authority("Nemzeti Adatvédelmi és Információszabadság Hatóság", "https://www.naih.hu"),
    "IE": Authority("Data Protection Commission", "https://www.dataprotection.ie"),
    "IS": Authority("Persónuvernd", "https://www.personuvernd.is"),
    "IT": Authority("Garante per la protezione dei dati personali", "https://www.garanteprivacy.it"),
    "LI": Authority("Datenschutzstelle", "https://www.datenschutzstelle.li"),
    "LT": Authority("Valstybinė duomenų apsaugos inspekcija", "https://vdai.lrv.lt"),
    "LU": Authority("Commission nationale pour la protection des données", "https://cnpd.public.lu"),
    "LV": Authority("Datu valsts inspekcija", "https://www.dvi.gov.lv"),
    "MT": Authority("Information and Data Protection Commissioner", "https://idpc.org.mt"),
    "NL": Authority("Autoriteit Persoonsgegevens", "https://www.autoriteitpersoonsgegevens.nl"),
    "NO": Authority("Datatilsynet", "https://www.datatilsynet.no"),
    "PL": Authority("Urząd Ochrony Danych Osobowych", "https://uodo.gov.pl"),
    "PT": Authority("Comissão Nacional de Proteção de Dados", "https://www.cnpd.pt"),
    "RO": Authority("Autoritatea Națională de Supraveghere a Prelucrării Datelor cu Caracter Personal", "https://www.dataprotection.ro"),
    "SE": Authority("Integritetsskyddsmyndigheten", "https://www.imy.se"),
    "SI": Authority("Informacijski pooblaščenec", "https://www.ip-rs.si"),
    "SK": Authority("Úrad na ochranu osobných údajov Slovenskej republiky", "https://dataprotection.gov.sk"),
    "US": Authority("California Privacy Protection Agency", "https://cppa.ca.gov"),
}
EEA: Final = frozenset(AUTHORITIES) - {"CH", "GB", "US"}
"""The European Union, Iceland, Liechtenstein and Norway."""
ADEQUATE: Final = frozenset({"AD", "AR", "CA", "CH", "FO", "GB", "GG", "IL", "IM", "JE", "JP", "KR", "NZ", "UY"})
"""Countries that the European Commission found to protect data adequately (GDPR art. 45; Canada: commercial organisations).

The United States only for those certified under the Data Privacy Framework: such a recipient needs to say so as its safeguard.
"""
