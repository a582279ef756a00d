// SPDX-License-Identifier: MIT
#include <cmath>
#include <random>

#include "data/support.hpp"
#include "qnudge/data/series.hpp"

namespace qnudge {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Bytes bytes(const std::string& text) {
  return {text.begin(), text.end()};
}

const SeriesConfig kSwat = {.window = 1, .label_column = "Normal/Attack", .time_column = "Timestamp"};

class CsvSeries : public FolderTest {
 protected:
  Series read(const std::string& text, const SeriesConfig& config = kSwat, bool labelled = true) const {
    return read_csv_series(write("a.csv", bytes(text)), config, labelled);
  }
  std::string refusal(const std::string& text, const SeriesConfig& config = kSwat, bool labelled = true) const {
    return input_refusal([&] { read(text, config, labelled); });
  }
};

void expect_swat(const Series& s) {
  EXPECT_THAT(s.names, ElementsAre("FIT101", "LIT101"));
  EXPECT_THAT(s.values, ElementsAre(2.5, 522.75, -0.001, 1e3, 3, 4));
  EXPECT_THAT(s.anomalous, ElementsAre(0, 1, 1));
  EXPECT_TRUE(s.gaps.empty());
}

TEST_F(CsvSeries, ReadsEveryVariantOfThePublishedFiles) {
  expect_swat(
      read("Timestamp,FIT101,LIT101,Normal/Attack\n"
           "28/12/2015 10:00:00 AM,2.5,522.75,Normal\n"
           "28/12/2015 10:00:01 AM,-0.001,1e3,Attack\n"
           "28/12/2015 10:00:02 AM,3,4,A ttack\n"));
  expect_swat(
      read("\xEF\xBB\xBF,P1,,\r\n"
           " Timestamp, FIT101,LIT101 , Normal/Attack\r\n"
           " 28/12/2015 11:59:59 AM, 2.5,522.75 ,Normal\r\n"
           "\r\n"
           " 28/12/2015 12:00:00 PM,-0.001,+1e3, Attack\r\n"
           " 28/12/2015 12:00:01 PM,3,4,A ttack\r\n"));
  expect_swat(
      read("Timestamp;FIT101;LIT101;Normal/Attack\n"
           "2015-12-31 23:59:59;2,5;522,75;Normal\n"
           "2016-01-01T00:00:00Z;-0,001;1000;attack\n"
           "2016-01-01 00:00:00.5;3;4,0;ATTACK"));
  expect_swat(
      read("\"Timestamp\",\"FIT101\",\"LIT101\",\"Normal/Attack\"\n"
           "1,\"2,5\",\"522,75\",0\n2,\"-0,001\",1000,1\n3,3,4,1.0\n"));
  expect_swat(read("Timestamp\tFIT101\tLIT101\tNormal/Attack\n1\t2,5\t522,75\t0\n2\t-0,001\t1000\t1,0\n3\t3\t4\t1\n"));
}

/// Rows of the columns A and B.
std::string rows_of(std::initializer_list<const char*> rows, char delimiter = ',') {
  std::string text = fmt::format("Timestamp{0}A{0}B{0}Normal/Attack\n", delimiter);
  int second = 0;
  for (const char* row : rows) text += fmt::format("{1}{0}{2}{0}0\n", delimiter, ++second, row);
  return text;
}

TEST_F(CsvSeries, ThousandsAndDecimalsAreToldApart) {
  EXPECT_THAT(read(rows_of({"999,\"1,000\"", "\"1,001\",\"2,500\""})).values, ElementsAre(999, 1000, 1001, 2500))
      << "999 beside 1,001 in one column";
  EXPECT_THAT(read(rows_of({"\"1,000\",7", "\"12,345.5\",\"-2,000\""})).values, ElementsAre(1000, 7, 12345.5, -2000));
  EXPECT_THAT(read(rows_of({"\"1,000\",7", "\"1,234,567\",8"})).values, ElementsAre(1000, 7, 1234567, 8));
  EXPECT_THAT(read(rows_of({"\"1,000\",0.5", "\"+3,001\",8.125"})).values, ElementsAre(1000, 0.5, 3001, 8.125));
  EXPECT_THAT(read(rows_of({"\"1,000\",\"0,125\"", "2,\"3,001\""})).values, ElementsAre(1, 0.125, 2, 3.001));
  EXPECT_THAT(read(rows_of({"\"1,000\",\"1.234.567,5\"", "2,\"3.001\""})).values, ElementsAre(1, 1234567.5, 2, 3001));
  EXPECT_THAT(read(rows_of({"1,000;7,125", "-2,500;8,250"}, ';')).values, ElementsAre(1, 7.125, -2.5, 8.25));
  EXPECT_THAT(read(rows_of({"1.000;7.125", "2.500;8.250"}, ';')).values, ElementsAre(1, 7.125, 2.5, 8.25));
  EXPECT_THAT(read(rows_of({"1.000;7,1", "2.500;8,2"}, ';')).values, ElementsAre(1000, 7.1, 2500, 8.2));
  for (const char* row : {"\"1,000\",\"2,000\"", "\"1,000\",0", "\"1,000\",7", "\"1,000\",1500"}) {
    EXPECT_THAT(refusal(rows_of({"0,0", row})),
                AllOf(HasSubstr(".csv:3: the value of 'A' is '1,000', which may be 1 or 1000")))
        << row;
  }
  EXPECT_THAT(refusal(rows_of({"999;1", "1,000;1"}, ';')), HasSubstr("which may be 1 or 1000"));
  EXPECT_THAT(refusal(rows_of({"\"2,5\",1", "2.5,1"})),
              AllOf(HasSubstr(".csv:3: the value of 'A' is '2.5', with a decimal point, but '2,5' in"),
                    HasSubstr(".csv:2 has a decimal comma")));
  for (const char* number : {"1,0000,000.5", "1,00.5", ",5", "1.2,3.4", "01,000.5", "1,000e3"}) {
    const std::string said = refusal(rows_of({"1.5,1", fmt::format("\"{}\",1", number).c_str()}));
    EXPECT_THAT(said, HasSubstr(".csv:3: the value of 'A'")) << number;
  }
}

TEST_F(CsvSeries, DaysThatDoNotExistAreRefused) {
  for (const char* date : {"31/02/2015", "30/02/2016", "29/02/2015", "31/04/2015", "2015-02-31", "2015-06-31",
                           "31.11.2015", "29/02/1900", "00/01/2015", "2015-00-10"}) {
    EXPECT_THAT(refusal(fmt::format("Timestamp,A,Normal/Attack\n{} 10:00:00,1,0\n", date)), HasSubstr("time stamp"))
        << date;
  }
  EXPECT_EQ(refusal("Timestamp,A,Normal/Attack\n29/02/2000,1,0\n1/3/2000,1,0\n"), "");
}

TEST_F(CsvSeries, TheOrderOfDayAndMonthIsToldFromTheFile) {
  const auto days = [](std::initializer_list<const char*> dates) {
    std::string text = "Timestamp,A,Normal/Attack\n";
    for (const char* date : dates) text += fmt::format("{} 10:00:00,1,0\n", date);
    return text;
  };
  // A month in steps of a day, with one of the 3rd to the 9th of April left out.
  EXPECT_THAT(read(days({"3/30/2015", "3/31/2015", "4/1/2015", "4/2/2015", "4/10/2015"})).gaps, ElementsAre(4));
  EXPECT_THAT(read(days({"30/3/2015", "31/3/2015", "1/4/2015", "2/4/2015", "10/4/2015"})).gaps, ElementsAre(4));
  EXPECT_THAT(read(days({"4/1/2015", "4/2/2015", "4/3/2015", "4/13/2015"})).gaps, ElementsAre(3))
      << "only the end tells";
  EXPECT_THAT(read(days({"3/11/2015", "4/10/2015", "5/10/2015", "5/11/2015"})).gaps, ElementsAre())
      << "day first, the 10th of April lies before the 3rd of November";
  EXPECT_THAT(read("Timestamp,A,Normal/Attack\n3/4/2015 1:00:00,1,0\n3/4/2015 1:00:01,1,0\n3/4/2015 "
                   "1:00:02,1,0\n3/4/2015 1:00:09,1,0\n")
                  .gaps,
              ElementsAre(3))
      << "within a day it does not matter";
  EXPECT_THAT(refusal(days({"3/4/2015", "4/4/2015", "5/4/2015", "6/4/2015", "6/12/2015"})),
              AllOf(HasSubstr(".csv:2: the time stamp is '3/4/2015 10:00:00': nothing"), HasSubstr("whether the day")));
  EXPECT_THAT(refusal(days({"13/4/2015", "4/14/2015"})),
              AllOf(HasSubstr(".csv:3: "), HasSubstr("rule out that the month")));
  EXPECT_THAT(refusal(days({"13.4.2015", "4.14.2015"})), HasSubstr("time stamp"));
}

TEST_F(CsvSeries, QuotedNamesMayHoldAnyCharacter) {
  const SeriesConfig marked = {.window = 1, .label_column = "y"};
  EXPECT_THAT(read("\"Flow; m3/h\",\"pipe 2\"\" in\",\"a,b\",\"tab\tname\",y\n1,2,3,4,0\n", marked).names,
              ElementsAre("Flow; m3/h", "pipe 2\" in", "a,b", "tab\tname"));
  EXPECT_THAT(read("\"a;b;c;d\";\"x,y\";y\n1;2;0\n", marked).names, ElementsAre("a;b;c;d", "x,y"));
  EXPECT_THAT(read("Flow; m3/h,b,y\n1,2,0\n", marked).names, ElementsAre("Flow; m3/h", "b"));
  EXPECT_THAT(read("\"\"\"\",b,y\n1,2,0\n", marked).names, ElementsAre("\"", "b"));
  EXPECT_THAT(refusal("\"a\"b,c,y\n1,2,0\n", marked), HasSubstr("quote"));
}

TEST_F(CsvSeries, LineEndsThatAreCarriageReturnsAreNamed) {
  EXPECT_THAT(refusal("Timestamp,A,Normal/Attack\r1,1,0\r2,1,0\r"), HasSubstr("line ends are CR alone"));
  EXPECT_THAT(refusal("Timestamp,A,Normal/Attack\r1,1,0\r\n2,1,0\n"), HasSubstr(".csv:1: has a CR within the line"));
  EXPECT_EQ(refusal("Timestamp,A,Normal/Attack\r\n1,1,0\r\n"), "");
}

TEST_F(CsvSeries, AColumnWithoutANameCanBeSkipped) {
  const std::string text = ",Timestamp,A,Normal/Attack\n0,1,5,0\n1,2,6,0\n";
  EXPECT_THAT(refusal(text), HasSubstr("column 1 has no name; name it, or add \"\" to data.series.skip_columns"));
  SeriesConfig skipping = kSwat;
  skipping.skip_columns = {""};
  const Series s = read(text, skipping);
  EXPECT_THAT(s.names, ElementsAre("A"));
  EXPECT_THAT(s.values, ElementsAre(5, 6));
}

TEST_F(CsvSeries, ReadsSkab) {
  const SeriesConfig skab = {
      .window = 1, .label_column = "anomaly", .time_column = "datetime", .skip_columns = {"changepoint"}};
  const Series s = read(
      "datetime;Current;Voltage;anomaly;changepoint\n2020-03-09 10:14:33;1.5;2;0.0;0.0\n"
      "2020-03-09 10:14:35;1.25;3;1.0;1.0\n",
      skab);
  EXPECT_THAT(s.names, ElementsAre("Current", "Voltage"));
  EXPECT_THAT(s.values, ElementsAre(1.5, 2, 1.25, 3));
  EXPECT_THAT(s.anomalous, ElementsAre(0, 1));
  const Series normal = read("datetime;Current;Voltage\n2020-02-08 13:30:47;1.5;2\n", skab, false);
  EXPECT_THAT(normal.anomalous, ElementsAre(0)) << "a training file needs no labels";
}

TEST_F(CsvSeries, FindsGapsInTime) {
  std::string text = "Timestamp,A,Normal/Attack\n";
  for (const int second : {0, 1, 2, 2, 4, 9, 10, 16, 17, 18, 100}) text += std::to_string(second) + ",1,0\n";
  EXPECT_THAT(read(text).gaps, ElementsAre(7, 10)) << "five usual steps are none, six are one";
  EXPECT_TRUE(read("Timestamp,A,Normal/Attack\n5,1,0\n5,1,0\n").gaps.empty());
  SeriesConfig timeless = kSwat;
  timeless.time_column = "";
  timeless.skip_columns = {"Timestamp"};
  EXPECT_TRUE(read(text, timeless).gaps.empty());
}

TEST_F(CsvSeries, TimesAcrossMidnightMonthsAndLeapDaysAreConsecutive) {
  for (const auto& [a, b] : {std::pair{"28/02/2016 11:59:59 PM", "29/02/2016 12:00:00 AM"},
                             {"29/02/2016 11:59:59 PM", "1/3/2016 12:00:00 AM"},
                             {"2015-12-31 23:59:59", "2016-01-01 00:00:00"},
                             {"2100-02-28 23:59:59", "2100-03-01 00:00:00"},
                             {"31.1.2016 23:59:59", "1.2.2016 0:00:00"}}) {
    const auto text = fmt::format("Timestamp,A,Normal/Attack\n{},1,0\n{},1,0\n", a, b);
    EXPECT_EQ(refusal(text), "") << a;
    // With a step of one second before it, anything but one to five seconds would be a gap.
    std::string earlier = a;
    earlier[earlier.find(":59:59") + 5] = '8';
    EXPECT_TRUE(read(fmt::format("Timestamp,A,Normal/Attack\n{},1,0\n{},1,0\n{},1,0\n", earlier, a, b)).gaps.empty())
        << a;
  }
}

TEST_F(CsvSeries, RefusesBadFilesWithFileAndLine) {
  const std::string head = "Timestamp,A,B,Normal/Attack\n1,1,2,0\n";
  const auto at = [&](int line) {
    return StartsWith((folder_ / "a.csv").string() + ":" + std::to_string(line) + ": ");
  };
  EXPECT_THAT(refusal(head + "2,1,2,0,\n"), AllOf(at(3), HasSubstr("5 fields; the 4 columns")));
  EXPECT_THAT(refusal(head + "2,1,0\n"), AllOf(at(3), HasSubstr("3 fields")));
  EXPECT_THAT(refusal(head + "2,,2,0\n"), AllOf(at(3), HasSubstr("'A' is missing")));
  for (const char* no_number :
       {"nan", "inf", "-inf", "1e999", "NULL", "?", "0x10", "1.2.3", "1,5,2", "--1", "+-1", "1 2"}) {
    EXPECT_THAT(refusal(head + fmt::format("2,\"{}\",2,0\n", no_number)), AllOf(at(3), HasSubstr(no_number)))
        << no_number;
  }
  EXPECT_THAT(refusal(head + "2,1,2,Nrmal\n"), AllOf(at(3), HasSubstr("Nrmal")));
  EXPECT_THAT(refusal(head + "2,1,2,True\n"), AllOf(at(3), HasSubstr("'True'; it must be 0 or 1, Normal or Attack")));
  EXPECT_THAT(refusal(head + "2,1,2,2\n"), AllOf(at(3), HasSubstr("must be 0 or 1, Normal or Attack")));
  EXPECT_THAT(refusal(head + "2,1,2,\n"), AllOf(at(3), HasSubstr("'Normal/Attack' is missing")));
  EXPECT_THAT(refusal(head + "0,1,2,0\n"), AllOf(at(3), HasSubstr("lies before")));
  for (const char* time :
       {"", "x", "32/12/2015 10:00:00 AM", "28/13/2015", "28/12/2015 13:00:00 AM", "2015-12-28 24:00:00",
        "2015-12-28 10:60:00", "28/12/15 10:00:00", "2015-12-28 10:00:00 CET", "nan"}) {
    EXPECT_THAT(refusal(head + fmt::format("{},1,2,0\n", time)), AllOf(at(3), HasSubstr("time stamp"))) << time;
  }
  EXPECT_THAT(refusal(head + "2,1,2\xff,0\n"), AllOf(at(3), HasSubstr("byte 6 of the line (0xff) is not UTF-8")));
  std::string with_zero = head + "2,1,2,0\n";
  with_zero[head.size() + 2] = '\0';
  EXPECT_THAT(refusal(with_zero), AllOf(at(3), HasSubstr("not UTF-8")));
  EXPECT_THAT(refusal(head + "2,\"1,2,0\n"), AllOf(at(3), HasSubstr("quote")));
  EXPECT_THAT(refusal(head + "2,\"1\"\"\",2,0\n"), AllOf(at(3), HasSubstr("the value of 'A' is '1\"'")));
  EXPECT_THAT(refusal("Timestamp,A,,Normal/Attack\n"), AllOf(at(1), HasSubstr("column 3 has no name")));
  EXPECT_THAT(refusal("Timestamp,A,A,Normal/Attack\n"), AllOf(at(1), HasSubstr("two columns are named 'A'")));
  EXPECT_THAT(refusal("Timestamp,Normal/Attack\n1,0\n"), AllOf(at(1), HasSubstr("no column is left")));
  EXPECT_THAT(refusal("Timestamp,A,B\n1,2,3\n"), AllOf(at(1), HasSubstr("no column 'Normal/Attack'")));
  EXPECT_THAT(refusal("A,B,Normal/Attack\n1,2,0\n"), AllOf(at(1), HasSubstr("no column 'Timestamp'")));
  EXPECT_THAT(refusal("A,B\n1,2\n"), AllOf(at(1), HasSubstr("its columns are A, B")));
  EXPECT_THAT(refusal(""), HasSubstr("is empty"));
  EXPECT_THAT(refusal("\n\r\n"), HasSubstr("is empty"));
  EXPECT_THAT(refusal("Timestamp,A,Normal/Attack\n"), HasSubstr("has no row"));
  EXPECT_THAT(input_refusal([&] { read_csv_series(folder_ / "none.csv", kSwat, true); }), HasSubstr("none.csv"));
  EXPECT_THAT(input_refusal([&] { read_csv_series(folder_, kSwat, true); }), HasSubstr("not a regular file"));
}

TEST_F(CsvSeries, Utf8NamesAreKeptAndBrokenOnesRefused) {
  EXPECT_THAT(read("Timestamp,Temp\xC3\xA9rature,\xF0\x9F\x8C\xA1,Normal/Attack\n1,2,3,0\n").names,
              ElementsAre("Temp\xC3\xA9rature", "\xF0\x9F\x8C\xA1"));
  for (const char* bad : {"\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80",
                          "\xC3", "\xE2\x82", "\x01", "\x7f"}) {
    EXPECT_THAT(refusal(fmt::format("Timestamp,A{},Normal/Attack\n1,2,0\n", bad)), HasSubstr("not UTF-8"));
  }
  const Bytes utf16 = {0xff, 0xfe, 'A', 0, ',', 0, 'B', 0, '\n', 0};
  EXPECT_THAT(input_refusal([&] { read_csv_series(write("b.csv", utf16), kSwat, true); }), HasSubstr("not UTF-8"));
}

TEST_F(CsvSeries, DamageNeverCrashesIt) {
  const std::string good =
      "Timestamp,A,B,Normal/Attack\n28/12/2015 10:00:00 AM,1.5,\"2\",Normal\n"
      "28/12/2015 10:00:01 AM,1.25,3,A ttack\n";
  std::mt19937 random(1);
  for (int i = 0; i < 600; ++i) {
    std::string text = good.substr(0, random() % 3 == 0 ? random() % good.size() : good.size());
    for (int k = 0; k < 3 && !text.empty(); ++k) text[random() % text.size()] = static_cast<char>(random());
    try {
      const Series s = read(text);
      ASSERT_EQ(s.values.size(), s.names.size() * s.anomalous.size());
      for (const double v : s.values) ASSERT_TRUE(std::isfinite(v));
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::input) << error.what();
    }
  }
}

}  // namespace
}  // namespace qnudge
