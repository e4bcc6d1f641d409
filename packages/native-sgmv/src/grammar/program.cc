#include "grammar/program.h"

#include <stdexcept>
#include <string>

namespace sgmv {
namespace {

constexpr size_t kMaxInstructions = 32768;

[[noreturn]] void refuse(size_t index, const std::string& why) {
  throw std::invalid_argument("grammar: instruction " + std::to_string(index) + " " + why);
}

void check(const Program& program, size_t index) {
  using Op = Instruction::Op;
  const Instruction& instruction = program[index];
  const auto size = static_cast<int32_t>(program.size());
  const auto check_target = [&](int32_t target) {
    if (target < 0 || target >= size) refuse(index, "leads out of the program");
  };
  switch (instruction.op) {
    case Op::kByte:
      if (instruction.a < 0 || instruction.a > instruction.b || instruction.b > 255) {
        refuse(index, "has no range of bytes");
      }
      check_target(static_cast<int32_t>(index) + 1);
      return;
    case Op::kSplit:
      check_target(instruction.a);
      check_target(instruction.b);
      return;
    case Op::kJump:
      check_target(instruction.a);
      return;
    case Op::kCall:
      check_target(instruction.a);
      check_target(static_cast<int32_t>(index) + 1);
      return;
    case Op::kReturn:
      return;
  }
  refuse(index, "is unknown");
}

}  // namespace

Program read_program(std::span<const int32_t> numbers) {
  if (numbers.empty() || numbers.size() % 3 != 0 || numbers.size() / 3 > kMaxInstructions) {
    throw std::invalid_argument("grammar: has " + std::to_string(numbers.size()) +
                                " numbers; it needs three for each of 1 to " +
                                std::to_string(kMaxInstructions) + " instructions");
  }
  Program program;
  program.reserve(numbers.size() / 3);
  for (size_t i = 0; i < numbers.size(); i += 3) {
    program.push_back({static_cast<Instruction::Op>(numbers[i]), numbers[i + 1], numbers[i + 2]});
  }
  for (size_t i = 0; i < program.size(); ++i) check(program, i);
  return program;
}

}  // namespace sgmv
