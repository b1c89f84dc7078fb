"""The model: the tables of the environment, with Dataverse's own names, types and choices.

A column is one line; its logical name is its schema name in lower case. Standard tables follow
the entity reference of Dynamics 365 Sales and Service for the columns people use; the rest of
a real environment's hundreds of columns is left out.
"""
from __future__ import annotations

import uuid
from typing import Any, Callable, Iterable

from .core import Association, Column, Key, Kind, Model, Option, Relationship, Table

_NAMESPACE = uuid.UUID("6f1a4d3e-93a5-4f0e-8a52-5d2a5b3c7e10")


def metadata_id(*names: str) -> str:
    """MetadataId of a table ``(table)``, column ``(table, column)`` and so on: stable for ever."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))


#: What older columns allow (sheet 3.4), and what the storage behind them holds.
MONEY_LIMIT = "922337203685477"
MONEY_STORAGE_LIMIT = "922337203685477.5807"
DECIMAL_LIMIT = "100000000000"
_YES_NO = ("No", "Yes")
_ALLOW = ("Allow", "Do Not Allow")


# --- one column ---------------------------------------------------------------------------


def _column(schema: str, kind: Kind, display: str, **more: Any) -> Column:
    return Column(
        name=schema.lower(), kind=kind, schema_name=schema, display_name=display or schema, **more
    )


def text(schema: str, display: str, length: int = 100, **more: Any) -> Column:
    return _column(schema, Kind.STRING, display, max_length=length, **{"format": "Text", **more})


def memo(schema: str, display: str, length: int = 2000, **more: Any) -> Column:
    return _column(schema, Kind.MEMO, display, max_length=length, **{"format": "TextArea", **more})


def entity_name(schema: str, display: str, **more: Any) -> Column:
    return _column(schema, Kind.ENTITY_NAME, display, max_length=128, **more)


def integer(schema: str, display: str, low: int = 0, high: int = 2147483647, **more: Any) -> Column:
    return _column(schema, Kind.INTEGER, display, min_value=low, max_value=high, **more)


def bigint(schema: str, display: str, **more: Any) -> Column:
    return _column(schema, Kind.BIGINT, display, min_value=-(2**63), max_value=2**63 - 1, **more)


def number(schema: str, display: str, precision: int, low: str = "-" + DECIMAL_LIMIT,
           high: str = DECIMAL_LIMIT, **more: Any) -> Column:
    return _column(schema, Kind.DECIMAL, display, precision=precision, min_value=low,
                   max_value=high, **more)


def double(schema: str, display: str, precision: int, low: str = "-" + DECIMAL_LIMIT,
           high: str = DECIMAL_LIMIT, **more: Any) -> Column:
    return _column(schema, Kind.DOUBLE, display, precision=precision, min_value=low,
                   max_value=high, **more)


def money(schema: str, display: str, low: str = "-" + MONEY_LIMIT, high: str = MONEY_LIMIT,
          precision: int = 2, **more: Any) -> list[Column]:
    """A money column and its read-only amount in base currency (sheet 3.2)."""
    return [
        _column(schema, Kind.MONEY, display, precision=precision, min_value=low, max_value=high,
                **more),
        _column(schema + "_Base", Kind.MONEY, f"{display} (Base)", precision=4,
                min_value="-" + MONEY_LIMIT, max_value=MONEY_LIMIT, creatable=False,
                updatable=False),
    ]


def flag(schema: str, display: str, labels: tuple[str, str] = _YES_NO, **more: Any) -> Column:
    options = (Option(0, labels[0]), Option(1, labels[1]))
    return _column(schema, Kind.BOOLEAN, display, options=options, **more)


def options_of(*labels: Any, start: int = 1) -> tuple[Option, ...]:
    """Options from labels, numbered from ``start``, or from (value, label) pairs."""
    if labels and isinstance(labels[0], tuple):
        return tuple(Option(value, label) for value, label in labels)
    return tuple(Option(start + i, label) for i, label in enumerate(labels))


def choice(schema: str, display: str, *labels: Any, start: int = 1, **more: Any) -> Column:
    return _column(schema, Kind.PICKLIST, display, options=options_of(*labels, start=start), **more)


def multiselect(schema: str, display: str, *labels: Any, **more: Any) -> Column:
    return _column(schema, Kind.MULTISELECT, display, options=options_of(*labels), **more)


def moment(schema: str, display: str, **more: Any) -> Column:
    return _column(schema, Kind.DATETIME, display,
                   **{"behavior": "UserLocal", "format": "DateAndTime", **more})


def date(schema: str, display: str, behavior: str = "DateOnly", **more: Any) -> Column:
    return _column(schema, Kind.DATETIME, display, behavior=behavior, format="DateOnly", **more)


def guid(schema: str, display: str, **more: Any) -> Column:
    return _column(schema, Kind.GUID, display, **more)


def lookup(schema: str, display: str, *targets: str, nav: str = "", kind: Kind = Kind.LOOKUP,
           **more: Any) -> Column:
    """A lookup. Several targets: one navigation property each, ``<nav>_<target>`` (sheet 2.2)."""
    base = nav or schema.lower()
    if len(targets) == 1:
        navigation = {targets[0]: base}
    else:
        navigation = {target: f"{base}_{target}" for target in targets}
    return _column(schema, kind, display, targets=targets, navigation=navigation, **more)


def customer(schema: str, display: str, nav: str = "", **more: Any) -> Column:
    return lookup(schema, display, "account", "contact", nav=nav, kind=Kind.CUSTOMER, **more)


def image(schema: str, display: str, **more: Any) -> list[Column]:
    """An image and what comes with it (sheet 3.2)."""
    fixed = {"creatable": False, "updatable": False}
    return [
        _column(schema, Kind.IMAGE, display, **more),
        bigint(schema + "_Timestamp", f"{display} Timestamp", **fixed),
        text(schema + "_URL", f"{display} URL", 200, format="Url", **fixed),
        guid(schema + "Id", f"{display} Id", **fixed),
    ]


_FIXED: dict[str, Any] = {"creatable": False, "updatable": False}


def primary_id(schema: str, display: str) -> Column:
    return guid(schema, display, is_primary_id=True, required="SystemRequired", updatable=False)


def state(*states: tuple[int, str, int], required: str = "SystemRequired") -> Column:
    """(value, label, default status)."""
    options = tuple(Option(v, label, default_status=default) for v, label, default in states)
    return _column("StateCode", Kind.STATE, "Status", options=options, required=required)


def status(*statuses: tuple[int, str, int]) -> Column:
    """(value, label, state)."""
    options = tuple(Option(v, label, state=of) for v, label, of in statuses)
    return _column("StatusCode", Kind.STATUS, "Status Reason", options=options)


def active_inactive() -> list[Column]:
    return [
        state((0, "Active", 1), (1, "Inactive", 2)),
        status((1, "Active", 0), (2, "Inactive", 1)),
    ]


def audit() -> list[Column]:
    """What every table has: who and when, and the row version."""
    return [
        moment("CreatedOn", "Created On", **_FIXED),
        lookup("CreatedBy", "Created By", "systemuser", **_FIXED),
        lookup("CreatedOnBehalfBy", "Created By (Delegate)", "systemuser", **_FIXED),
        moment("ModifiedOn", "Modified On", **_FIXED),
        lookup("ModifiedBy", "Modified By", "systemuser", **_FIXED),
        lookup("ModifiedOnBehalfBy", "Modified By (Delegate)", "systemuser", **_FIXED),
        date("OverriddenCreatedOn", "Record Created On", behavior="UserLocal", updatable=False),
        integer("ImportSequenceNumber", "Import Sequence Number", low=-2147483648, updatable=False),
        integer("TimeZoneRuleVersionNumber", "Time Zone Rule Version Number", low=-1),
        integer("UTCConversionTimeZoneCode", "UTC Conversion Time Zone Code", low=-1),
        bigint("VersionNumber", "Version Number", **_FIXED),
    ]


def owned() -> list[Column]:
    """A user-owned table. ``ownerid`` is written by one navigation property for both targets."""
    owner = _column("OwnerId", Kind.OWNER, "Owner", targets=("systemuser", "team"),
                    navigation={"systemuser": "ownerid", "team": "ownerid"},
                    required="SystemRequired")
    return [
        owner,
        lookup("OwningBusinessUnit", "Owning Business Unit", "businessunit", **_FIXED),
        lookup("OwningTeam", "Owning Team", "team", **_FIXED),
        lookup("OwningUser", "Owning User", "systemuser", **_FIXED),
    ]


def currency() -> list[Column]:
    """What a table gains with its first money column (sheet 3.2)."""
    return [
        lookup("TransactionCurrencyId", "Currency", "transactioncurrency"),
        number("ExchangeRate", "Exchange Rate", 10, "0.0000000001", DECIMAL_LIMIT, **_FIXED),
    ]


def address(n: int, freight: bool = True) -> list[Column]:
    a, d = f"Address{n}_", f"Address {n}"
    return [
        guid(a + "AddressId", f"{d}: ID", updatable=False),
        choice(a + "AddressTypeCode", f"{d}: Address Type", "Bill To", "Ship To", "Primary",
               "Other"),
        text(a + "City", f"{d}: City", 80),
        memo(a + "Composite", d, 1000, **_FIXED),
        text(a + "Country", f"{d}: Country/Region", 80),
        text(a + "County", f"{d}: County", 50),
        text(a + "Fax", f"{d}: Fax", 50),
        choice(a + "FreightTermsCode", f"{d}: Freight Terms", "FOB", "No Charge"),
        double(a + "Latitude", f"{d}: Latitude", 5, "-90", "90"),
        text(a + "Line1", f"{d}: Street 1", 250),
        text(a + "Line2", f"{d}: Street 2", 250),
        text(a + "Line3", f"{d}: Street 3", 250),
        double(a + "Longitude", f"{d}: Longitude", 5, "-180", "180"),
        text(a + "Name", f"{d}: Name", 200),
        text(a + "PostalCode", f"{d}: ZIP/Postal Code", 20),
        text(a + "PostOfficeBox", f"{d}: Post Office Box", 20),
        text(a + "PrimaryContactName", f"{d}: Primary Contact Name", 100),
        choice(a + "ShippingMethodCode", f"{d}: Shipping Method", "Airborne", "DHL", "FedEx", "UPS",
               "Postal Mail", "Full Load", "Will Call"),
        text(a + "StateOrProvince", f"{d}: State/Province", 50),
        text(a + "Telephone1", f"{d}: Phone", 50, format="Phone"),
        text(a + "UPSZone", f"{d}: UPS Zone", 4),
        integer(a + "UTCOffset", f"{d}: UTC Offset", -1500, 1500),
    ]


def do_not() -> list[Column]:
    return [
        flag("DoNotBulkEMail", "Do not allow Bulk Emails", _ALLOW),
        flag("DoNotBulkPostalMail", "Do not allow Bulk Mails", _YES_NO),
        flag("DoNotEMail", "Do not allow Emails", _ALLOW),
        flag("DoNotFax", "Do not allow Faxes", _ALLOW),
        flag("DoNotPhone", "Do not allow Phone Calls", _ALLOW),
        flag("DoNotPostalMail", "Do not allow Mails", _ALLOW),
        flag("DoNotSendMM", "Send Marketing Materials", ("Send", "Do Not Send")),
    ]


def aging() -> list[Column]:
    return [c for n in ("30", "60", "90") for c in money("Aging" + n, f"Aging {n}", "0",
                                                         "100000000000000", **_FIXED)]


# --- one table ------------------------------------------------------------------------------


def _companions(column: Column) -> list[Column]:
    """Helper columns that metadata lists and the Web API lacks (sheet 3.2)."""
    hidden = {"attribute_of": column.name, "creatable": False, "updatable": False}
    name = column.schema_name
    if column.kind.is_lookup:
        found = [text(name + "Name", "", 100, **hidden)]
        if "systemuser" in column.targets or "contact" in column.targets:
            found.append(text(name + "YomiName", "", 100, **hidden))
        if len(column.targets) > 1:
            found.append(entity_name(name + ("IdType" if name.endswith("Owner") else "Type"), "",
                                     **hidden))
        return found
    if column.kind.is_choice or column.kind in (Kind.BOOLEAN, Kind.MULTISELECT):
        return [text(name + "Name", "", 255, **hidden)]
    return []


def _set_up(columns: dict[str, Column], table: str) -> None:
    for column in columns.values():
        column.entity = table
        if column.options and not column.option_set:
            column.option_set = f"{table}_{column.name}"


def make_table(
    name: str, set_name: str, schema_name: str, display: str, code: int, primary_id_name: str,
    primary_name: str, columns: Iterable[Any], keys: Iterable[Key] = (), **more: Any,
) -> Table:
    """A table from lines; a line is a column or a list of columns."""
    flat: list[Column] = []
    for line in columns:
        flat.extend(line if isinstance(line, list) else [line])
    by_name: dict[str, Column] = {}
    for column in sorted(flat, key=lambda c: c.name):
        by_name[column.name] = column
    for column in flat:
        for companion in _companions(column):
            by_name.setdefault(companion.name, companion)
    if len([c for c in by_name.values() if not c.attribute_of]) != len(flat):
        raise ValueError(f"a column of {name} is listed twice")
    _set_up(by_name, name)
    if primary_name:
        by_name[primary_name].is_primary_name = True
    return Table(
        name=name, set_name=set_name, schema_name=schema_name, display_name=display,
        primary_id=primary_id_name, primary_name=primary_name, columns=by_name, keys=list(keys),
        object_type_code=code, **more,
    )


INDUSTRIES = (
    "Accounting", "Agriculture and Non-petrol Natural Resource Extraction",
    "Broadcasting Printing and Publishing", "Brokers", "Building Supply Retail",
    "Business Services", "Consulting", "Consumer Services",
    "Design, Direction and Creative Management", "Distributors, Dispatchers and Processors",
    "Doctor's Offices and Clinics", "Durable Manufacturing", "Eating and Drinking Places",
    "Entertainment Retail", "Equipment Rental and Leasing", "Financial",
    "Food and Tobacco Processing", "Inbound Capital Intensive Processing",
    "Inbound Repair and Services", "Insurance", "Legal Services",
    "Non-Durable Merchandise Retail", "Outbound Consumer Service",
    "Petrochemical Extraction and Distribution", "Service Retail", "SIG Affiliations",
    "Social Services", "Special Outbound Trade Contractors", "Specialty Realty",
    "Transportation", "Utility Creation and Distribution", "Vehicle Retail", "Wholesale",
)
_CONTACT_METHODS = ("Any", "Email", "Phone", "Fax", "Mail")
_PAYMENT_TERMS = ("Net 30", "2% 10, Net 30", "Net 45", "Net 60")
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_TIMES = ("Morning", "Afternoon", "Evening")
_DEFAULT = ("Default Value",)


def _appointments() -> list[Column]:
    return [
        choice("PreferredAppointmentDayCode", "Preferred Day", *_DAYS, start=0),
        choice("PreferredAppointmentTimeCode", "Preferred Time", *_TIMES),
        choice("PreferredContactMethodCode", "Preferred Method of Contact", *_CONTACT_METHODS),
        lookup("PreferredSystemUserId", "Preferred User", "systemuser"),
        choice("PaymentTermsCode", "Payment Terms", *_PAYMENT_TERMS),
        choice("ShippingMethodCode", "Shipping Method", *_DEFAULT),
        choice("TerritoryCode", "Territory", *_DEFAULT),
        flag("FollowEmail", "Follow Email Activity", ("Do Not Allow", "Allow")),
        flag("MarketingOnly", "Marketing Only"),
        flag("Merged", "Merged", **_FIXED),
        flag("ParticipatesInWorkflow", "Participates in Workflow"),
        date("LastUsedInCampaign", "Last Date Included in Campaign", behavior="UserLocal"),
        moment("LastOnHoldTime", "Last On Hold Time"),
        integer("OnHoldTime", "On Hold Time (Minutes)", low=-2147483648, **_FIXED),
        guid("ProcessId", "Process"),
        guid("StageId", "(Deprecated) Process Stage"),
        text("TraversedPath", "(Deprecated) Traversed Path", 1250),
    ]


def _account() -> Table:
    return make_table(
        "account", "accounts", "Account", "Account", 1, "accountid", "name",
        [
            primary_id("AccountId", "Account"),
            text("Name", "Account Name", 160, required="ApplicationRequired"),
            text("AccountNumber", "Account Number", 20),
            choice("AccountCategoryCode", "Category", "Preferred Customer", "Standard"),
            choice("AccountClassificationCode", "Classification", *_DEFAULT),
            choice("AccountRatingCode", "Account Rating", *_DEFAULT),
            choice("BusinessTypeCode", "Business Type", *_DEFAULT),
            choice("CustomerSizeCode", "Customer Size", *_DEFAULT),
            choice("CustomerTypeCode", "Relationship Type", "Competitor", "Consultant", "Customer",
                   "Investor", "Partner", "Influencer", "Press", "Prospect", "Reseller", "Supplier",
                   "Vendor", "Other"),
            choice("IndustryCode", "Industry", *INDUSTRIES),
            choice("OwnershipCode", "Ownership", "Public", "Private", "Subsidiary", "Other"),
            money("Revenue", "Annual Revenue", "0", "100000000000000"),
            money("CreditLimit", "Credit Limit", "0", "100000000000000"),
            money("MarketCap", "Market Capitalization", "0", "100000000000000", precision=4),
            aging(),
            flag("CreditOnHold", "Credit Hold"),
            integer("NumberOfEmployees", "Number of Employees", 0, 1000000000),
            integer("SharesOutstanding", "Shares Outstanding", 0, 1000000000),
            integer("OpenDeals", "Open Deals", low=-2147483648, source_type=2, **_FIXED),
            moment("OpenDeals_Date", "Open Deals (Last Updated On)", **_FIXED),
            integer("OpenDeals_State", "Open Deals (State)", low=-2147483648, **_FIXED),
            money("OpenRevenue", "Open Revenue", precision=2, source_type=2, **_FIXED),
            memo("Description", "Description", 2000),
            text("EMailAddress1", "Email", 100, format="Email"),
            text("EMailAddress2", "Email Address 2", 100, format="Email"),
            text("EMailAddress3", "Email Address 3", 100, format="Email"),
            text("Telephone1", "Main Phone", 50, format="Phone"),
            text("Telephone2", "Other Phone", 50, format="Phone"),
            text("Telephone3", "Telephone 3", 50, format="Phone"),
            text("Fax", "Fax", 50),
            text("WebSiteURL", "Website", 200, format="Url"),
            text("FtpSiteURL", "FTP Site", 200, format="Url"),
            text("SIC", "SIC Code", 20),
            text("StockExchange", "Stock Exchange", 20),
            text("TickerSymbol", "Ticker Symbol", 10, format="TickerSymbol"),
            text("YomiName", "Yomi Account Name", 160, format="PhoneticGuide"),
            text("TimeSpentByMeOnEmailAndMeetings", "Time Spent by me", 1250, **_FIXED),
            text("PrimarySatoriId", "Primary Satori ID", 200),
            text("PrimaryTwitterId", "Primary Twitter ID", 128),
            lookup("PrimaryContactId", "Primary Contact", "contact"),
            lookup("ParentAccountId", "Parent Account", "account"),
            lookup("MasterId", "Master ID", "account", **_FIXED),
            image("EntityImage", "Default Image"),
            address(1), address(2), do_not(), _appointments(), currency(), owned(), audit(),
            active_inactive(),
        ],
        [Key("accountnumber_key", ("accountnumber",), display_name="Account Number")],
    )


def _contact() -> Table:
    return make_table(
        "contact", "contacts", "Contact", "Contact", 2, "contactid", "fullname",
        [
            primary_id("ContactId", "Contact"),
            text("FullName", "Full Name", 160, **_FIXED),
            text("FirstName", "First Name", 50, required="Recommended"),
            text("MiddleName", "Middle Name", 50),
            text("LastName", "Last Name", 50, required="ApplicationRequired"),
            text("NickName", "Nickname", 100),
            text("Salutation", "Salutation", 100),
            text("Suffix", "Suffix", 10),
            text("JobTitle", "Job Title", 100),
            text("Department", "Department", 100),
            text("EMailAddress1", "Email", 100, format="Email"),
            text("EMailAddress2", "Email Address 2", 100, format="Email"),
            text("EMailAddress3", "Email Address 3", 100, format="Email"),
            text("MobilePhone", "Mobile Phone", 50, format="Phone"),
            text("Telephone1", "Business Phone", 50, format="Phone"),
            text("Telephone2", "Home Phone", 50, format="Phone"),
            text("Telephone3", "Telephone 3", 50, format="Phone"),
            text("Fax", "Fax", 50),
            text("WebSiteUrl", "Website", 200, format="Url"),
            text("EmployeeId", "Employee", 50),
            text("ExternalUserIdentifier", "External User Identifier", 50),
            text("GovernmentId", "Government", 50),
            text("ManagerName", "Manager", 100),
            text("AssistantName", "Assistant", 100),
            text("SpousesName", "Spouse/Partner Name", 100),
            memo("ChildrensNames", "Children's Names", 255),
            memo("Description", "Description", 2000),
            date("BirthDate", "Birthday"),
            date("Anniversary", "Anniversary"),
            integer("NumberOfChildren", "No. of Children", 0, 1000000000),
            choice("AccountRoleCode", "Role", "Decision Maker", "Employee", "Influencer"),
            choice("CustomerSizeCode", "Customer Size", *_DEFAULT),
            choice("CustomerTypeCode", "Relationship Type", *_DEFAULT),
            choice("EducationCode", "Education", *_DEFAULT),
            choice("FamilyStatusCode", "Marital Status", "Single", "Married", "Divorced",
                   "Widowed"),
            choice("GenderCode", "Gender", "Male", "Female"),
            choice("HasChildrenCode", "Has Children", *_DEFAULT),
            choice("LeadSourceCode", "Lead Source", *_DEFAULT),
            money("AnnualIncome", "Annual Income", "0", "100000000000000"),
            money("CreditLimit", "Credit Limit", "0", "100000000000000"),
            aging(),
            flag("CreditOnHold", "Credit Hold"),
            flag("IsBackofficeCustomer", "Back Office Customer"),
            customer("ParentCustomerId", "Company Name"),
            lookup("AccountId", "Account", "account", **_FIXED),
            lookup("ParentContactId", "Parent Contact", "contact", **_FIXED),
            lookup("MasterId", "Master ID", "contact", **_FIXED),
            image("EntityImage", "Entity Image"),
            address(1), address(2), do_not(), _appointments(), currency(), owned(), audit(),
            active_inactive(),
        ],
        [Key("contact_name_email_key", ("firstname", "emailaddress1"),
             display_name="Name and Email")],
    )


def _opportunity() -> Table:
    return make_table(
        "opportunity", "opportunities", "Opportunity", "Opportunity", 3, "opportunityid", "name",
        [
            primary_id("OpportunityId", "Opportunity"),
            text("Name", "Topic", 300, required="ApplicationRequired"),
            memo("Description", "Description", 2000),
            memo("CurrentSituation", "Current Situation", 2000),
            memo("CustomerNeed", "Customer Need", 2000),
            memo("ProposedSolution", "Proposed Solution", 2000),
            text("EmailAddress", "Email Address", 100, format="Email"),
            text("StepName", "Pipeline Phase", 200),
            money("EstimatedValue", "Est. Revenue", "0", "922337203685477"),
            money("ActualValue", "Actual Revenue", "0", "922337203685477"),
            money("BudgetAmount", "Budget Amount", "0", "1000000000000"),
            money("TotalAmount", "Total Amount", **_FIXED),
            money("TotalLineItemAmount", "Total Detail Amount", **_FIXED),
            money("TotalTax", "Total Tax", **_FIXED),
            money("DiscountAmount", "Opportunity Discount Amount", "0", "1000000000000"),
            money("FreightAmount", "Freight Amount", "0", "1000000000000"),
            number("DiscountPercentage", "Opportunity Discount (%)", 2, "0", "100"),
            integer("CloseProbability", "Probability", 0, 100),
            date("EstimatedCloseDate", "Est. Close Date"),
            date("ActualCloseDate", "Actual Close Date"),
            moment("FinalDecisionDate", "Final Decision Date"),
            moment("LastOnHoldTime", "Last On Hold Time"),
            integer("OnHoldTime", "On Hold Time (Minutes)", low=-2147483648, **_FIXED),
            choice("OpportunityRatingCode", "Rating", "Hot", "Warm", "Cold"),
            choice("PriorityCode", "Priority", *_DEFAULT),
            choice("SalesStageCode", "Process Code", *_DEFAULT),
            choice("SalesStage", "Sales Stage", "Qualify", "Develop", "Propose", "Close", start=0),
            choice("BudgetStatus", "Budget", "No Committed Budget", "May Buy", "Can Buy",
                   "Will Buy", start=0, option_set="budgetstatus", option_set_global=True),
            choice("PurchaseTimeframe", "Purchase Timeframe", "Immediate", "This Quarter",
                   "Next Quarter", "This Year", "Unknown", start=0, option_set="purchasetimeframe",
                   option_set_global=True),
            choice("PurchaseProcess", "Purchase Process", "Individual", "Committee", "Unknown",
                   start=0, option_set="purchaseprocess", option_set_global=True),
            choice("Need", "Need", "Must have", "Should have", "Good to have", "No need", start=0,
                   option_set="need", option_set_global=True),
            choice("TimeLine", "Timeline", "Immediate", "This Quarter", "Next Quarter", "This Year",
                   "Not known", start=0),
            flag("CompleteFinalProposal", "Final Proposal Ready", ("mark complete", "completed")),
            flag("ConfirmInterest", "Confirm Interest"),
            flag("DecisionMaker", "Decision Maker?", ("mark complete", "completed")),
            flag("IdentifyCompetitors", "Identify Competitors", ("mark complete", "completed")),
            flag("IsRevenueSystemCalculated", "Revenue", ("User Provided", "System Calculated")),
            flag("ParticipatesInWorkflow", "Participates in Workflow"),
            customer("CustomerId", "Potential Customer"),
            lookup("ParentAccountId", "Account", "account"),
            lookup("ParentContactId", "Contact", "contact"),
            guid("ProcessId", "Process"),
            guid("StageId", "(Deprecated) Process Stage"),
            currency(), owned(), audit(),
            state((0, "Open", 1), (1, "Won", 3), (2, "Lost", 4)),
            status((1, "In Progress", 0), (2, "On Hold", 0), (3, "Won", 1), (4, "Canceled", 2),
                   (5, "Out-Sold", 2)),
        ],
    )


def _task() -> Table:
    return make_table(
        "task", "tasks", "Task", "Task", 4212, "activityid", "subject",
        [
            primary_id("ActivityId", "Task"),
            text("Subject", "Subject", 200, required="ApplicationRequired"),
            memo("Description", "Description", 2000),
            entity_name("ActivityTypeCode", "Activity Type", required="SystemRequired", **_FIXED),
            text("Category", "Category", 250),
            text("Subcategory", "Sub-Category", 250),
            integer("ActualDurationMinutes", "Duration"),
            integer("ScheduledDurationMinutes", "Scheduled Duration", **_FIXED),
            integer("PercentComplete", "Percent Complete", 0, 100),
            moment("ActualStart", "Actual Start"),
            moment("ActualEnd", "Actual End", **_FIXED),
            moment("ScheduledStart", "Start Date"),
            moment("ScheduledEnd", "Due Date"),
            moment("SortDate", "Sort Date"),
            choice("PriorityCode", "Priority", "Low", "Normal", "High", start=0),
            flag("IsBilled", "Is Billed"),
            flag("IsRegularActivity", "Is Regular Activity", **_FIXED),
            flag("IsWorkflowCreated", "Is Workflow Created"),
            lookup("RegardingObjectId", "Regarding", "account", "contact", "opportunity",
                   "incident"),
            currency(), owned(), audit(),
            state((0, "Open", 2), (1, "Completed", 5), (2, "Canceled", 6)),
            status((2, "Not Started", 0), (3, "In Progress", 0), (4, "Waiting on someone else", 0),
                   (5, "Completed", 1), (6, "Canceled", 2), (7, "Deferred", 0)),
        ],
        is_activity=True,
    )


def _incident() -> Table:
    return make_table(
        "incident", "incidents", "Incident", "Case", 112, "incidentid", "title",
        [
            primary_id("IncidentId", "Case"),
            text("Title", "Case Title", 200, required="ApplicationRequired"),
            text("TicketNumber", "Case Number", 100, updatable=False,
                 auto_number="CAS-{SEQNUM:5}-{RANDSTRING:6}"),
            memo("Description", "Description", 2000),
            text("ProductSerialNumber", "Serial Number", 100),
            choice("CaseOriginCode", "Origin", (1, "Phone"), (2, "Email"), (3, "Web"),
                   (2483, "Facebook"), (3986, "Twitter"), (700610000, "IoT")),
            choice("CaseTypeCode", "Case Type", "Question", "Problem", "Request"),
            choice("PriorityCode", "Priority", "High", "Normal", "Low"),
            choice("SeverityCode", "Severity", *_DEFAULT),
            choice("IncidentStageCode", "Case Stage", *_DEFAULT),
            choice("CustomerSatisfactionCode", "Satisfaction", "Very Dissatisfied", "Dissatisfied",
                   "Neutral", "Satisfied", "Very Satisfied"),
            choice("FirstResponseSLAStatus", "First Response SLA Status", "In Progress",
                   "Nearing Noncompliance", "Succeeded", "Noncompliant"),
            moment("FollowupBy", "Follow Up By"),
            moment("ResponseBy", "First Response By"),
            moment("ResolveBy", "Resolve By"),
            moment("EscalatedOn", "Escalated On", **_FIXED),
            flag("IsEscalated", "Is Escalated"),
            flag("FirstResponseSent", "First Response Sent"),
            flag("CustomerContacted", "Customer Contacted"),
            flag("CheckEmail", "Check Email"),
            integer("BilledServiceUnits", "Billed Service Units", 0, 1000000000, **_FIXED),
            integer("ActualServiceUnits", "Actual Service Units", 0, 1000000000),
            integer("NumberOfChildIncidents", "Child Cases", 0, 1000000000, **_FIXED),
            double("InfluenceScore", "Influence Score", 2, "0", "1000000000"),
            double("SentimentValue", "Sentiment Value", 2, "-100000000000", "100000000000"),
            customer("CustomerId", "Customer", required="ApplicationRequired"),
            lookup("PrimaryContactId", "Contact", "contact"),
            lookup("ResponsibleContactId", "Responsible Contact (Deprecated)", "contact"),
            lookup("ParentCaseId", "Parent Case", "incident"),
            lookup("ExistingCase", "Existing Case", "incident", nav="existingcase"),
            currency(), owned(), audit(),
            state((0, "Active", 1), (1, "Resolved", 5), (2, "Cancelled", 6)),
            status((1, "In Progress", 0), (2, "On Hold", 0), (3, "Waiting for Details", 0),
                   (4, "Researching", 0), (5, "Problem Solved", 1),
                   (1000, "Information Provided", 1), (6, "Cancelled", 2), (2000, "Merged", 2)),
        ],
    )


def _systemuser() -> Table:
    return make_table(
        "systemuser", "systemusers", "SystemUser", "User", 8, "systemuserid", "fullname",
        [
            primary_id("SystemUserId", "User"),
            guid("OwnerId", "Owner", **_FIXED),
            text("FullName", "Full Name", 200, **_FIXED),
            text("FirstName", "First Name", 256, required="ApplicationRequired"),
            text("LastName", "Last Name", 256, required="ApplicationRequired"),
            text("InternalEMailAddress", "Primary Email", 100, format="Email"),
            text("DomainName", "User Name", 1024),
            text("Title", "Title", 128),
            text("JobTitle", "Job Title", 100),
            text("MobilePhone", "Mobile Phone", 64, format="Phone"),
            text("Address1_Telephone1", "Main Phone", 64, format="Phone"),
            text("EmployeeId", "Employee", 100),
            guid("AzureActiveDirectoryObjectId", "Azure AD Object ID", updatable=False),
            guid("ApplicationId", "Application ID"),
            choice("AccessMode", "Access Mode", "Read-Write", "Administrative", "Read",
                   "Support User", "Non-interactive", "Delegated Admin", start=0),
            choice("CALType", "License Type", "Professional", "Administrative", "Basic",
                   "Device Professional", start=0),
            choice("PreferredEmailCode", "Preferred Email", *_DEFAULT),
            flag("IsDisabled", "Status", ("Enabled", "Disabled"), **_FIXED),
            flag("IsLicensed", "User Licensed", **_FIXED),
            flag("SetupUser", "Restricted Access Mode"),
            integer("IdentityId", "Unique user identity id", low=-2147483648, **_FIXED),
            lookup("BusinessUnitId", "Business Unit", "businessunit"),
            lookup("ParentSystemUserId", "Manager", "systemuser"),
            image("EntityImage", "Entity Image"),
            currency(), audit(),
        ],
        bulk=frozenset({"UpdateMultiple"}),
    )


def _team() -> Table:
    return make_table(
        "team", "teams", "Team", "Team", 9, "teamid", "name",
        [
            primary_id("TeamId", "Team"),
            guid("OwnerId", "Owner", **_FIXED),
            text("Name", "Team Name", 160, required="SystemRequired"),
            memo("Description", "Description", 2000),
            text("EMailAddress", "Email", 100, format="Email"),
            choice("TeamType", "Team Type", "Owner", "Access", "Security Group", "Office Group",
                   start=0, option_set="team_type", option_set_global=True, updatable=False),
            flag("IsDefault", "Is Default", **_FIXED),
            guid("AzureActiveDirectoryObjectId", "Object Id for a group", updatable=False),
            lookup("AdministratorId", "Administrator", "systemuser", required="SystemRequired"),
            lookup("BusinessUnitId", "Business Unit", "businessunit"),
            currency(), audit(),
        ],
        bulk=frozenset(),  # "UpsertMultiple is not enabled on the entity team" (sheet 5.2)
    )


def _transactioncurrency() -> Table:
    return make_table(
        "transactioncurrency", "transactioncurrencies", "TransactionCurrency", "Currency", 9105,
        "transactioncurrencyid", "currencyname",
        [
            primary_id("TransactionCurrencyId", "Transaction Currency"),
            text("CurrencyName", "Currency Name", 100, required="SystemRequired"),
            text("ISOCurrencyCode", "Currency Code", 5, required="SystemRequired", updatable=False),
            text("CurrencySymbol", "Currency Symbol", 13, required="SystemRequired"),
            integer("CurrencyPrecision", "Currency Precision", 0, 10, required="SystemRequired"),
            number("ExchangeRate", "Exchange Rate", 10, "0.0000000001", DECIMAL_LIMIT,
                   required="SystemRequired"),
            guid("UniqueDscId", "Unique Id", **_FIXED),
            audit(), active_inactive(),
        ],
    )


def _businessunit() -> Table:
    return make_table(
        "businessunit", "businessunits", "BusinessUnit", "Business Unit", 10, "businessunitid",
        "name",
        [
            primary_id("BusinessUnitId", "Business Unit"),
            text("Name", "Name", 160, required="SystemRequired"),
            text("DivisionName", "Division", 100),
            flag("IsDisabled", "Is Disabled", **_FIXED),
            lookup("ParentBusinessUnitId", "Parent Business", "businessunit"),
            audit(),
        ],
        bulk=frozenset(),
    )


def _organization() -> Table:
    return make_table(
        "organization", "organizations", "Organization", "Organization", 1019, "organizationid",
        "name",
        [
            primary_id("OrganizationId", "Organization"),
            text("Name", "Organization Name", 160, updatable=False),
            integer("LocaleId", "Locale"),
            integer("LanguageCode", "Language"),
            integer("ExpireChangeTrackingInDays", "Days to Expire Change Tracking Deltas", 0, 365),
            integer("ExpireSubscriptionsInDays", "Days to Expire Subscriptions"),
            integer("PricingDecimalPrecision", "Pricing Decimal Precision", 0, 4),
            text("BaseCurrencySymbol", "Base Currency Symbol", 5, **_FIXED),
            lookup("BaseCurrencyId", "Currency", "transactioncurrency"),
            audit(),
        ],
        bulk=frozenset(), read_only=True, change_tracking=False,
    )


def _solution() -> Table:
    return make_table(
        "solution", "solutions", "Solution", "Solution", 7100, "solutionid", "friendlyname",
        [
            primary_id("SolutionId", "Solution Identifier"),
            text("FriendlyName", "Display Name", 256, required="SystemRequired"),
            text("UniqueName", "Name", 65, required="SystemRequired"),
            text("Version", "Version", 256),
            memo("Description", "Description", 2000),
            flag("IsManaged", "Package Type", ("Unmanaged", "Managed"), **_FIXED),
            flag("IsVisible", "Is Visible Outside Platform", **_FIXED),
            moment("InstalledOn", "Installed On", **_FIXED),
            audit(),
        ],
        bulk=frozenset(), read_only=True, change_tracking=False,
    )


def _solutioncomponent() -> Table:
    return make_table(
        "solutioncomponent", "solutioncomponents", "SolutionComponent", "Solution Component", 7103,
        "solutioncomponentid", "",
        [
            primary_id("SolutionComponentId", "Solution Component Identifier"),
            choice("ComponentType", "Object Type Code", (1, "Entity"), (2, "Attribute"),
                   (3, "Relationship"), (9, "Option Set"), (14, "Entity Key"), (60, "System Form"),
                   (61, "Web Resource"), option_set="componenttype", option_set_global=True,
                   **_FIXED),
            guid("ObjectId", "Regarding", **_FIXED),
            choice("RootComponentBehavior", "Root Component Behavior", "Include Subcomponents",
                   "Do not include subcomponents", "Include As Shell Only", start=0, **_FIXED),
            flag("IsMetadata", "Is this component metadata", ("Data", "Metadata"), **_FIXED),
            lookup("SolutionId", "Solution", "solution", **_FIXED),
            audit(),
        ],
        bulk=frozenset(), read_only=True, change_tracking=False,
    )


def _sdkmessage() -> Table:
    return make_table(
        "sdkmessage", "sdkmessages", "SdkMessage", "Sdk Message", 4606, "sdkmessageid", "name",
        [
            primary_id("SdkMessageId", "Sdk Message"),
            text("Name", "Name", 256),
            text("CategoryName", "Category Name", 25),
            flag("IsPrivate", "Is Private", **_FIXED),
            flag("IsActive", "Is Active", **_FIXED),
            audit(),
        ],
        bulk=frozenset(), read_only=True, change_tracking=False, is_private=True,
    )


def _sdkmessagefilter() -> Table:
    return make_table(
        "sdkmessagefilter", "sdkmessagefilters", "SdkMessageFilter", "Sdk Message Filter", 4607,
        "sdkmessagefilterid", "name",
        [
            primary_id("SdkMessageFilterId", "Sdk Message Filter"),
            text("Name", "Name", 100),
            entity_name("PrimaryObjectTypeCode", "Primary Object Type Code"),
            entity_name("SecondaryObjectTypeCode", "Secondary Object Type Code"),
            integer("Availability", "Availability", **_FIXED),
            flag("IsCustomProcessingStepAllowed", "Custom Processing Step Allowed", **_FIXED),
            flag("IsVisible", "Is Visible", **_FIXED),
            lookup("SdkMessageId", "SDK Message ID", "sdkmessage"),
            audit(),
        ],
        bulk=frozenset(), read_only=True, change_tracking=False, is_private=True,
    )


def _savedquery() -> Table:
    """Views everybody sees (sheet 2.11). Read-only here: their XML is not checked when written."""
    return make_table(
        "savedquery", "savedqueries", "SavedQuery", "View", 1039, "savedqueryid", "name",
        [
            primary_id("SavedQueryId", "View"),
            text("Name", "Name", 200, required="SystemRequired"),
            memo("Description", "Description", 2000),
            entity_name("ReturnedTypeCode", "Entity Name", required="SystemRequired"),
            memo("FetchXml", "FetchXml", 1073741823),
            integer("QueryType", "Query Type", low=-2147483648, required="SystemRequired"),
            flag("IsDefault", "Default View"),
            flag("IsManaged", "State", ("Unmanaged", "Managed"), **_FIXED),
            audit(), active_inactive(),
        ],
        bulk=frozenset(), read_only=True, change_tracking=False, is_private=True,
    )


def _userquery() -> Table:
    """Views of one user (sheet 2.11)."""
    return make_table(
        "userquery", "userqueries", "UserQuery", "Saved View", 4230, "userqueryid", "name",
        [
            primary_id("UserQueryId", "Saved View"),
            text("Name", "Name", 200, required="SystemRequired"),
            memo("Description", "Description", 2000),
            entity_name("ReturnedTypeCode", "Returned Type Code", required="SystemRequired"),
            memo("FetchXml", "FetchXml", 1073741823, required="SystemRequired"),
            integer("QueryType", "Query Type", low=-2147483648, required="SystemRequired"),
            owned(), audit(), active_inactive(),
        ],
        bulk=frozenset(), change_tracking=False, is_private=True,
    )


def _teammembership() -> Table:
    """The intersect table of users and teams."""
    return make_table(
        "teammembership", "teammemberships", "TeamMembership", "Team Membership", 23,
        "teammembershipid", "",
        [
            primary_id("TeamMembershipId", "Team Membership"),
            guid("SystemUserId", "User", **_FIXED),
            guid("TeamId", "Team", **_FIXED),
            bigint("VersionNumber", "Version Number", **_FIXED),
        ],
        bulk=frozenset(), is_intersect=True, change_tracking=False, is_private=True,
    )


#: Of every N:N relationship one side; ``Model.many_to_many`` knows the other.
ASSOCIATIONS = [
    Association("teammembership_association", "teammembership_association", "team", "teamid",
                "teammembership", "systemuser", "systemuserid", "teammembership_association"),
]


def _custom(name: str, display: str, primary_id_schema: str, *columns: Any) -> list[Any]:
    """A custom table's own columns and those the platform adds."""
    return [primary_id(primary_id_schema, display), *columns, owned(), audit(), active_inactive()]


def _geo_country() -> Table:
    return make_table(
        "geo_country", "geo_countries", "geo_Country", "Country", 10101, "geo_countryid",
        "geo_name",
        _custom(
            "geo_country", "Country", "geo_CountryId",
            text("geo_Name", "Name", 200, required="ApplicationRequired"),
            text("geo_Alpha2", "Alpha-2 Code", 2),
            text("geo_Alpha3", "Alpha-3 Code", 3),
            text("geo_Numeric", "Numeric Code", 3),
            text("geo_OfficialName", "Official Name", 300),
            text("geo_CommonName", "Common Name", 200),
            text("geo_Flag", "Flag", 16),
            text("geo_Capital", "Capital", 200),
            integer("geo_Population", "Population"),
            number("geo_Area", "Area (km²)", 2, "0", DECIMAL_LIMIT),
            double("geo_Latitude", "Latitude", 5, "-90", "90"),
            double("geo_Longitude", "Longitude", 5, "-180", "180"),
            choice("geo_Continent", "Continent", (100000000, "Africa"), (100000001, "Antarctica"),
                   (100000002, "Asia"), (100000003, "Europe"), (100000004, "North America"),
                   (100000005, "Oceania"), (100000006, "South America")),
            flag("geo_Independent", "Independent"),
            date("geo_IndependenceDate", "Independence Date"),
            memo("geo_Notes", "Notes", 4000),
            money("geo_Gdp", "GDP"),
            currency(),
        ),
        [Key("geo_alpha2key", ("geo_alpha2",), display_name="Alpha-2")],
        is_custom=True, solutions=("Default", "Geography"),
    )


def _geo_subdivision() -> Table:
    return make_table(
        "geo_subdivision", "geo_subdivisions", "geo_Subdivision", "Subdivision", 10102,
        "geo_subdivisionid", "geo_name",
        _custom(
            "geo_subdivision", "Subdivision", "geo_SubdivisionId",
            text("geo_Name", "Name", 200, required="ApplicationRequired"),
            text("geo_Code", "Code", 10),
            text("geo_Type", "Type", 100),
            text("geo_LocalName", "Local Name", 200),
            integer("geo_Population", "Population"),
            lookup("geo_CountryId", "Country", "geo_country", nav="geo_CountryId"),
            lookup("geo_ParentId", "Parent", "geo_subdivision", nav="geo_ParentId"),
        ),
        [Key("geo_codekey", ("geo_code",), display_name="Code")],
        is_custom=True, solutions=("Default", "Geography"),
    )


def _geo_indicator() -> Table:
    return make_table(
        "geo_indicator", "geo_indicators", "geo_Indicator", "Indicator", 10103, "geo_indicatorid",
        "geo_name",
        _custom(
            "geo_indicator", "Indicator", "geo_IndicatorId",
            text("geo_Name", "Name", 200),
            integer("geo_Year", "Year", 1000, 9999),
            number("geo_Value", "Value", 10),
            lookup("geo_CountryId", "Country", "geo_country", nav="geo_CountryId"),
        ),
        [Key("geo_countryyearkey", ("geo_countryid", "geo_year"), display_name="Country and Year")],
        is_custom=True, solutions=("Default", "Geography"),
    )


def _geo_note() -> Table:
    return make_table(
        "geo_note", "geo_notes", "geo_Note", "Geographic Note", 10104, "geo_noteid", "geo_name",
        _custom(
            "geo_note", "Geographic Note", "geo_NoteId",
            text("geo_Name", "Name", 200),
            text("geo_Number", "Number", 50),
            memo("geo_Text", "Text", 10000),
            lookup("geo_CountryId", "Country", "geo_country", nav="geo_CountryId"),
        ),
        [Key("geo_numberkey", ("geo_number",), display_name="Number")],
        is_custom=True, solutions=("Default", "Geography"), bulk=frozenset(),
        optimistic_concurrency=False, change_tracking=False,
    )


#: The only key an elastic table has (sheet 1.5).
ELASTIC_KEY = "KeyForNoSqlEntityWithPKPartitionId"


def _contoso_sensordata() -> Table:
    return make_table(
        "contoso_sensordata", "contoso_sensordatas", "contoso_SensorData", "Sensor Data", 10201,
        "contoso_sensordataid", "contoso_name",
        [
            primary_id("contoso_SensorDataId", "Sensor Data"),
            text("contoso_Name", "Name", 100),
            text("contoso_DeviceId", "Device Id", 100),
            text("contoso_SensorType", "Sensor Type", 100),
            integer("contoso_Value", "Value", low=-2147483648),
            number("contoso_Reading", "Reading", 4),
            double("contoso_Voltage", "Voltage", 3),
            flag("contoso_Alarm", "Alarm"),
            choice("contoso_Quality", "Quality", (100000000, "Good"), (100000001, "Doubtful")),
            moment("contoso_Timestamp", "Timestamp", behavior="TimeZoneIndependent"),
            memo("contoso_EnergyConsumption", "Energy Consumption", 4000, format="Json"),
            text("PartitionId", "Partition Id", 1024, updatable=False),
            integer("TTLInSeconds", "Time to live", low=-1),
            owned(), audit(),
        ],
        [Key(ELASTIC_KEY, ("contoso_sensordataid", "partitionid"),
             display_name="Entity key for NoSql Entity that contains PrimaryKey and PartitionId")],
        is_custom=True, table_type="Elastic", solutions=("Default", "Sample"),
        optimistic_concurrency=False,
        bulk=frozenset({"CreateMultiple", "UpdateMultiple", "DeleteMultiple"}),
    )


#: Values of the global option set ``sample_colors``.
COLORS = tuple(
    (100000000 + i, name)
    for i, name in enumerate(("Red", "Green", "Blue", "Yellow", "Café au lait", "Grün", "青"))
)


def _sample_everything() -> Table:
    return make_table(
        "sample_everything", "sample_everythings", "sample_Everything", "Everything", 10301,
        "sample_everythingid", "sample_name",
        _custom(
            "sample_everything", "Everything", "sample_EverythingId",
            text("sample_Name", "Name", 100),
            text("sample_Code", "Code", 100),
            text("sample_String", "String", 200),
            text("sample_LongString", "Long String", 4000),
            text("sample_Email", "Email", 100, format="Email"),
            text("sample_Url", "URL", 200, format="Url"),
            text("sample_Phone", "Phone", 50, format="Phone"),
            text("sample_Json", "Json", 2000, format="Json"),
            text("sample_KeepsEmpty", "Keeps Empty", 100, keeps_empty=True),
            text("sample_Serial", "Serial", 100, auto_number="S-{SEQNUM:6}"),
            memo("sample_Memo", "Memo", 100000),
            entity_name("sample_EntityName", "Entity Name"),
            integer("sample_Integer", "Integer", low=-2147483648),
            integer("sample_SmallInteger", "Small Integer", low=-10, high=1000),
            bigint("sample_BigInt", "Big Int"),
            number("sample_Decimal", "Decimal", 10),
            number("sample_Decimal2", "Decimal with Two Digits", 2),
            double("sample_Double", "Double", 5),
            double("sample_Double0", "Double without Digits", 0),
            money("sample_Money", "Money", "-" + MONEY_STORAGE_LIMIT, MONEY_STORAGE_LIMIT,
                  precision=4),
            money("sample_Money2", "Money with Two Digits", precision=2),
            flag("sample_Boolean", "Boolean"),
            flag("sample_OnOff", "On or Off", ("Off", "On")),
            choice("sample_Choice", "Choice", (100000000, "First"), (100000001, "Second"),
                   (100000002, "Third"), (-1, "Below Zero"), (1, "Straße"), (2, "it's; 50% [x]")),
            choice("sample_GlobalChoice", "Global Choice", *COLORS, option_set="sample_colors",
                   option_set_global=True),
            multiselect("sample_Multi", "Multi", (1, "Appetizer"), (2, "Entrée"), (3, "Dessert"),
                        (9, "Drink; hot"), (10, "Drink; cold"), (100000000, "Other")),
            multiselect("sample_GlobalMulti", "Global Multi", *COLORS, option_set="sample_colors",
                        option_set_global=True),
            moment("sample_DateTime", "Date and Time"),
            moment("sample_DateTimeIndependent", "Independent", behavior="TimeZoneIndependent"),
            date("sample_Date", "Date"),
            date("sample_LocalDate", "Local Date", behavior="UserLocal"),
            date("sample_IndependentDate", "Independent Date", behavior="TimeZoneIndependent"),
            guid("sample_Guid", "Guid"),
            lookup("sample_AccountId", "Account", "account", nav="sample_AccountId"),
            lookup("sample_ParentId", "Parent", "sample_everything", nav="sample_ParentId"),
            customer("sample_CustomerId", "Customer", nav="sample_CustomerId"),
            image("sample_Image", "Image", full_image=True, max_size_kb=64),
            image("sample_Photo", "Photo"),
            integer("sample_Calculated", "Calculated", low=-2147483648, source_type=1, **_FIXED),
            text("sample_WriteOnce", "Write Once", 100, updatable=False),
            currency(),
        ),
        [
            Key("sample_codekey", ("sample_code",), display_name="Code"),
            Key("sample_integerdatekey", ("sample_integer", "sample_date"),
                display_name="Integer and Date"),
            Key("sample_decimalkey", ("sample_decimal",), display_name="Decimal"),
            Key("sample_choicetimekey", ("sample_choice", "sample_datetime"),
                display_name="Choice and Time"),
            # Use a key only when it is active (sheet 1.5).
            Key("sample_phonekey", ("sample_phone",), status="Failed", display_name="Phone"),
        ],
        is_custom=True, solutions=("Default", "Sample"),
    )


# --- relationships ---------------------------------------------------------------------------

#: (table, lookup, target) -> schema name, which is also the collection's name unless given.
_KNOWN: dict[tuple[str, str, str], tuple[str, ...]] = {
    ("account", "primarycontactid", "contact"): ("account_primary_contact",),
    ("account", "parentaccountid", "account"): ("account_parent_account",),
    ("account", "masterid", "account"): ("account_master_account",),
    ("account", "preferredsystemuserid", "systemuser"): ("system_user_accounts",),
    ("contact", "parentcustomerid", "account"): ("contact_customer_accounts",),
    ("contact", "parentcustomerid", "contact"): ("contact_customer_contacts",),
    ("contact", "masterid", "contact"): ("contact_master_contact",),
    ("contact", "preferredsystemuserid", "systemuser"): ("system_user_contacts",),
    ("opportunity", "customerid", "account"): ("opportunity_customer_accounts",),
    ("opportunity", "customerid", "contact"): ("opportunity_customer_contacts",),
    ("opportunity", "parentaccountid", "account"): ("opportunity_parent_account",),
    ("opportunity", "parentcontactid", "contact"): ("opportunity_parent_contact",),
    ("task", "regardingobjectid", "account"): ("Account_Tasks",),
    ("task", "regardingobjectid", "contact"): ("Contact_Tasks",),
    ("task", "regardingobjectid", "opportunity"): ("Opportunity_Tasks",),
    ("task", "regardingobjectid", "incident"): ("Incident_Tasks",),
    ("incident", "customerid", "account"): ("incident_customer_accounts",),
    ("incident", "customerid", "contact"): ("incident_customer_contacts",),
    ("incident", "primarycontactid", "contact"): ("contact_as_primary_contact",),
    ("incident", "responsiblecontactid", "contact"): ("contact_as_responsible_contact",),
    ("incident", "parentcaseid", "incident"): ("incident_parent_incident",),
    ("incident", "existingcase", "incident"): ("incident_existingcase",),
    ("systemuser", "parentsystemuserid", "systemuser"): ("user_parent_user",),
    ("systemuser", "businessunitid", "businessunit"): ("business_unit_system_users",),
    ("team", "administratorid", "systemuser"): ("lk_teambase_administratorid",),
    ("team", "businessunitid", "businessunit"): ("business_unit_teams",),
    ("businessunit", "parentbusinessunitid", "businessunit"):
        ("business_unit_parent_business_unit",),
    ("sdkmessagefilter", "sdkmessageid", "sdkmessage"): ("sdkmessageid_sdkmessagefilter",),
    ("solutioncomponent", "solutionid", "solution"): ("solution_solutioncomponent",),
    ("organization", "basecurrencyid", "transactioncurrency"): ("basecurrency_organization",),
    ("geo_subdivision", "geo_countryid", "geo_country"): ("geo_country_subdivisions",),
    ("geo_subdivision", "geo_parentid", "geo_subdivision"): ("geo_subdivision_children",),
    ("geo_indicator", "geo_countryid", "geo_country"): ("geo_country_indicators",),
    ("geo_note", "geo_countryid", "geo_country"): ("geo_country_notes",),
    ("sample_everything", "sample_accountid", "account"): ("sample_account_everythings",),
    ("sample_everything", "sample_parentid", "sample_everything"): ("sample_everything_children",),
    ("sample_everything", "sample_customerid", "account"): ("sample_customer_account_everythings",),
    ("sample_everything", "sample_customerid", "contact"): ("sample_customer_contact_everythings",),
}

_RESTRICTED = {"geo_country_subdivisions", "opportunity_parent_account"}
_CASCADED = {"geo_country_indicators", "Account_Tasks", "Contact_Tasks", "Opportunity_Tasks",
             "Incident_Tasks", "incident_customer_accounts", "incident_customer_contacts"}

_STANDARD_NAMES: dict[str, Callable[[str], str]] = {
    "createdby": lambda t: f"lk_{t}base_createdby",
    "createdonbehalfby": lambda t: f"lk_{t}base_createdonbehalfby",
    "modifiedby": lambda t: f"lk_{t}base_modifiedby",
    "modifiedonbehalfby": lambda t: f"lk_{t}base_modifiedonbehalfby",
    "owningteam": lambda t: f"team_{_plural(t)}",
    "owninguser": lambda t: f"user_{_plural(t)}",
    "owningbusinessunit": lambda t: f"business_unit_{_plural(t)}",
    "transactioncurrencyid": lambda t: f"transactioncurrency_{t}",
}

_PLURALS = {"account": "accounts", "contact": "contacts", "opportunity": "opportunities",
            "task": "tasks", "incident": "incidents"}


def _plural(table: str) -> str:
    return _PLURALS.get(table, table)


def _relationship(table: Table, column: Column, target: Table) -> Relationship:
    known = _KNOWN.get((table.name, column.name, target.name))
    if known:
        schema = known[0]
    elif column.name == "ownerid":
        schema = f"owner_{_plural(table.name)}"
    elif column.name in _STANDARD_NAMES:
        schema = _STANDARD_NAMES[column.name](table.name)
    else:
        schema = f"{target.name}_{table.name}_{column.name}"
    return Relationship(
        schema_name=schema, referenced=target.name, referenced_attribute=target.primary_id,
        referencing=table.name, referencing_attribute=column.name,
        many_to_one_navigation=column.navigation[target.name], one_to_many_navigation=schema,
        restrict_delete=schema in _RESTRICTED, cascade_delete=schema in _CASCADED,
    )


def _relationships(tables: dict[str, Table]) -> list[Relationship]:
    """One row per lookup and target. The owner's navigation property is shared by its targets;
    systemuser comes last so that ``Model.many_to_one`` shows it."""
    found = []
    for table in tables.values():
        for column in table.columns.values():
            if not column.kind.is_lookup or column.attribute_of:
                continue
            for target in reversed(column.targets):
                found.append(_relationship(table, column, tables[target]))
    return found


def build_model() -> Model:
    """A fresh model."""
    made = [
        _account(), _contact(), _opportunity(), _task(), _incident(), _systemuser(), _team(),
        _teammembership(), _transactioncurrency(), _businessunit(), _organization(), _solution(), _solutioncomponent(),
        _sdkmessage(), _sdkmessagefilter(), _savedquery(), _userquery(), _geo_country(),
        _geo_subdivision(), _geo_indicator(),
        _geo_note(), _contoso_sensordata(), _sample_everything(),
    ]
    tables = {table.name: table for table in made}
    # Activities name the table in their navigation properties: regardingobjectid_account_task.
    regarding = tables["task"].columns["regardingobjectid"]
    regarding.navigation = {t: f"regardingobjectid_{t}_task" for t in regarding.targets}
    return Model(tables, _relationships(tables), list(ASSOCIATIONS))


#: Unique name -> (friendly name, version) of the solutions (tables name theirs in ``solutions``).
SOLUTIONS = {
    "Default": ("Default Solution", "1.0"),
    "Geography": ("Geography", "1.2.0.0"),
    "Sample": ("Sample", "0.9.0.1"),
}

#: Messages every table has, listed in sdkmessagefilters beside its bulk messages.
COMMON_MESSAGES = ("Create", "Update", "Delete", "Retrieve", "RetrieveMultiple", "Upsert")


def messages_of(table: Table) -> list[str]:
    """Messages that sdkmessagefilters lists. DeleteMultiple is listed for standard tables with
    bulk messages too, and does not work there (sheet 5.5)."""
    bulk = set(table.bulk)
    if bulk >= {"CreateMultiple", "UpdateMultiple"}:
        bulk.add("DeleteMultiple")
    return [*(m for m in COMMON_MESSAGES if not table.read_only or m.startswith("Retrieve")),
            *sorted(bulk)]
