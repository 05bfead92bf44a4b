//! The bugs there are.

macro_rules! bugs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A deliberate bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug { $($(#[$doc])* $name,)* }

        impl Bug {
            /// All of them.
            pub const ALL: &'static [Bug] = &[$(Bug::$name,)*];
        }
    };
}

bugs! {
    /// A cart is written over whatever version is there.
    CartVersionUnchecked,
    /// A cart forgets which commands it has applied.
    CartForgetsItsKeys,
    /// A lane's number is taken without looking whether somebody else has.
    LaneNumberUnchecked,
    /// A lane's number is not counted on.
    LaneNumberNotCounted,
    /// Cash is taken, and the lane's totals do not say so.
    CashNotCounted,
    /// A shift is closed without looking whether something was sold meanwhile.
    ShiftClosedOverSales,
    /// A shift is opened without looking whether one is open.
    ShiftOpenedOverAnother,
    /// Stock is taken without looking whether it is there.
    StockUnchecked,
    /// A sale lowers what is on hand, and not what is available.
    AvailableForgotten,
    /// A movement is not counted.
    MovementNotCounted,
    /// A movement forgets how much it moved.
    MovementForgetsItsDelta,
    /// Of an order's products one is left on the shelf.
    StockOfOneLineForgotten,
    /// Of a kit that is sold one component is left on the shelf.
    KitComponentForgotten,
    /// A return forgets what the kits are made of that come back.
    ReturnForgetsKits,
    /// A committed hold leaves the shelf, and stays reserved.
    ReservedForgotten,
    /// A cart that is brought back stays in the list of parked ones.
    ParkedMarkerStays,
    /// An approval is used without looking whether it was used before.
    ApprovalUsedTwice,
    /// What was denied is taken for granted.
    DeniedApprovalGranted,
    /// What was sold offline and was not there is entered, and nobody is told.
    ExceptionForgotten,
    /// An exception is resolved without looking whether somebody has resolved it.
    ExceptionResolvedTwice,
    /// Stock that is split gives its parts theirs, and keeps it.
    SplitKeepsWhatItGives,
    /// Stock that is merged loses what its parts had.
    MergeForgetsItsParts,
    /// A reservation is made again over one of the same id, with what it holds.
    ReservationOverwritten,
    /// A hold is given back, however often.
    HoldGivenBackTwice,
    /// A stock update's record is not kept.
    UpdateRecordForgotten,
    /// Two returns of one sale do not see each other.
    ReturnedUnchecked,
    /// A void does not see what came back before it.
    UndoingUnchecked,
    /// A return brings all of an order back, and the order stands as it stood.
    UndoneOrderStands,
    /// A coupon is redeemed however often it was before.
    UsesUnchecked,
    /// What an undone sale used stays used.
    UsesNotGivenBack,
    /// What a register gave above a limit while it was cut off is not counted.
    OfflineUseNotCounted,
    /// It is counted, and nobody is told.
    UsesAboveLimitForgotten,
    /// A gift card is spent without looking what it holds.
    BalanceUnchecked,
    /// A request to pay in to a gift card, or out of it, is not remembered.
    GiftCardRequestForgotten,
    /// What a sale takes from a gift card is not taken.
    GiftCardNotTaken,
    /// Of an exchange the sale is entered, and the return is not.
    ExchangeForgetsReturn,
    /// A transfer is settled over whatever version is there.
    TransferVersionUnchecked,
    /// What a transfer ships does not leave its source.
    ShippedAndStillThere,
    /// A page is written over whatever version is there.
    PageVersionUnchecked,
    /// A coarse page is not written, and its day is settled.
    CoarsePageForgotten,
    /// The completeness record is not written.
    WatermarkDropped,
    /// The completeness record is written over whatever version is there.
    WatermarkVersionUnchecked,
    /// An older version of a product overwrites a newer one.
    FeedVersionUnchecked,
    /// A product is put over whatever version is there.
    ProductVersionUnchecked,
    /// A product's prices are written over whatever version is there.
    PricesVersionUnchecked,
    /// A location is made over one of the same id.
    LocationOverwritten,
    /// A price that is not valid yet is charged.
    FuturePriceCharged,
    /// The settlement of a long order is recorded, and its stock stays held.
    SettlementForgetsStock,
    /// The relay counts records as done before it has handled them.
    RelayAcknowledgesTooEarly,
    /// The aggregator counts records as done before it has handled them.
    AggregatorAcknowledgesTooEarly,
    /// What the stream did not take is taken for sent.
    PartialSendIgnored,
    /// A line is rounded down in the event, not to the nearest.
    LineRoundedDown,
    /// An order's total is rounded once, not line by line.
    TotalRoundedPerOrder,
    /// What was taken off is not counted.
    DiscountUncounted,
    /// Tax is not counted.
    TaxUncounted,
    /// A return is worth what its goods cost before anything was taken off.
    ReturnForgetsDiscount,
    /// The figures of a day are those of the UTC day.
    BusinessDayInUtc,
    /// A sale that another system made is counted on the day after it.
    RecordedSaleADayLate,
    /// Change is counted as paid.
    ChangeCountedAsPaid,
    /// A repeated request to HQ has another idempotency key.
    RetryWithNewKey,
    /// A failure of HQ is taken for success.
    FailureTakenForSuccess,
    /// A delivery that is not made at once is never due again.
    DeliveryNeverDue,
    /// A tenant reads another's catalogue.
    CatalogueOfAnotherTenant,
    /// What is logged of a write names the write before it.
    LogLineOfTheWriteBefore,
    /// A final order is changed afterwards.
    OrderRewritten,
    /// After a restore a lane's numbers begin anew, and its epoch does not.
    EpochForgotten,
    /// After a restore some lanes are left as the backup has them.
    LaneNotRaised,
    /// What is sent of an order names its number without its epoch.
    EpochLostOnTheWay,
    /// A tenant's rules are read once, and never again.
    RulesReadOnce,
    /// A price for customers of a segment is charged to those of another.
    PriceOfAnotherSegment,
    /// Which segments a customer is in is not looked at.
    SegmentsForgotten,
    /// A page of the change feed is put over whatever page is there.
    ChangePageOverwritten,
    /// Of the changes of a batch the last is not noted in the change feed.
    ChangeNotNoted,
    /// Who reads the change feed is told nothing of every fifth page.
    ChangePageSkipped,
    /// What arrives damaged is written down as fit for sale.
    DamageWrittenDownAsFit,
    /// A purchase order is settled over whatever version is there.
    PurchaseVersionUnchecked,
    /// What arrives of a purchase order stays on order.
    DeliveredAndStillOnOrder,
    /// Of a delivery one product does not come into the stock.
    DeliveryOfOneLineForgotten,
    /// The record of a delivery that nobody ordered is not kept.
    RestockRecordForgotten,
    /// A count sheet is written over whatever version is there.
    CountSheetVersionUnchecked,
    /// Of a sheet that is closed the first line is not corrected.
    CountedLineForgotten,
    /// Who is served goes on being counted as waiting.
    WaitedForNotTakenOff,
    /// Who came last into a queue is served first.
    QueueServedFromItsEnd,
    /// Of a reservation one line is reserved, and held by nobody.
    HoldLineForgotten,
    /// Some lines of a long reservation are taken for held that are not.
    ChunkNotHeld,
    /// A sale that leaves the shelf names an order that there is not, now and then.
    SaleNamesAnotherOrder,
    /// Goods are taken without looking whether the day of one of their lots is over.
    LotsDueUnchecked,
    /// The lots of a stock item are written with the last to end first.
    LotOrderReversed,
    /// Goods of a recalled lot are kept aside, and stay for sale.
    LotKeptAsideAndStillThere,
    /// A recall comes to the first of the locations that have of the lot.
    RecallOfOneLocation,
    /// Goods of a lot come in without looking whether it was recalled meanwhile.
    LotRecallUnchecked,
    /// Of the lots that movements took the last is not noted for recalls.
    LotTraceForgotten,
    /// The day of a lot is over a day late.
    LotDueADayLate,
    /// What came in ever is not counted.
    ArrivalNotCounted,
    /// Lots are written without looking whether they were written meanwhile, or sold.
    LotsVersionUnchecked,
    /// A lot is quarantined at a location, and its stock does not remember it.
    LotHereUnmarked,
    /// A lot is quarantined at a location without looking whether its stock changed meanwhile.
    LotHereUnchecked,
    /// Which lots a transfer ships is not noted.
    TransferForgetsLots,
    /// A sale that names a lot leaves as one that names none.
    NamedLotIgnored,
    /// A commit that names a lot leaves as one that names none.
    CommittedLotIgnored,
    /// A difference is corrected without looking whether it was, or moved, since it was compared.
    CorrectionUnchecked,
    /// A difference is resolved as corrected, and its counters stay as they are.
    CorrectionMovesNothing,
    /// A correction leaves the rows as they are between which a counter changed.
    CorrectionLeavesRows,
    /// That stock got low is noted, and nobody is told.
    AlertNotTold,
    /// An alert that is raised says that all is well.
    AlertForgetsItsLevel,
    /// A cart that is given up goes on holding its goods.
    VoidedCartHoldsOn,
    /// A sale takes its goods beside what its cart holds of them.
    CartSoldBesideItsHold,
    /// Of what is paid into a drawer a penny is not written down, now and then.
    PaidInWrittenDownShort,
    /// What is taken of goods whose stock nobody told is entered, and nobody is told.
    UnsyncedStockNotTold,
    /// What is to be kept back is not written down, and for sale.
    SafetyStockForgotten,
    /// What shops decide about their stock otherwise than their tenant is not looked at.
    PoliciesOfShopsForgotten,
    /// A product that a tenant puts comes to stand below the keys of another.
    PutUnderAnotherTenant,
}
